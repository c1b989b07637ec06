"""What a person sees while a search runs, and at its end."""

from __future__ import annotations

import time

from rich.console import Console

from search.plan import Plan
from search.results import TrialRecord, best, leaderboard

_STATUS_SECONDS = 15.0


def clock(seconds: float) -> str:
    """Return 75 as `1:15`, 3700 as `1:01:40`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Prints a line for each finished trial and, unless quiet, a status line now and then.

    On a terminal the status line is one line that is kept up to date.

    Args:
        plan: The search.
        console: Where to print.
    """

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._started = self._last_status = time.monotonic()
        self._status = console.status("starting the first trials") if self._live else None
        if self._status:
            self._status.start()

    @property
    def _live(self) -> bool:
        return self._console.is_terminal and not self._plan.options.quiet

    def ended(self, trial: TrialRecord, trials: list[TrialRecord]) -> None:
        """Print how a trial ended."""
        units, n_trials = trial.config.units, self._plan.n_trials
        if trial.status == "failed":
            outcome = f"failed: {trial.error}"
        else:
            score = f"score {trial.score:.4f}" if trial.reports else "no score"
            outcome = f"{trial.status} after unit {trial.units}/{units}, {score}"
        n_ended = sum(t.status != "running" for t in trials)
        self._console.print(
            f"[{n_ended}/{n_trials}] trial {trial.number} {outcome}", markup=False, highlight=False
        )

    def tick(self, trials: list[TrialRecord]) -> None:
        """Bring the status up to date; called often."""
        now = time.monotonic()
        if self._plan.options.quiet:
            return
        if self._status:
            self._status.update(self._line(trials, now))
        elif now - self._last_status >= _STATUS_SECONDS:
            self._last_status = now
            self._console.print(self._line(trials, now), markup=False, highlight=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._status:
            self._status.stop()

    def _line(self, trials: list[TrialRecord], now: float) -> str:
        counts = {s: sum(t.status == s for t in trials) for s in ("running", "stopped", "done")}
        failed = sum(t.status == "failed" for t in trials)
        parts = [*(f"{n} {status}" for status, n in counts.items())]
        if failed:
            parts.append(f"{failed} failed")
        leader = best(trials)
        if leader:
            parts.append(f"best {leader.score:.4f} (trial {leader.number}, unit {leader.units})")
        elapsed = now - self._started
        parts.append(f"{clock(elapsed)} elapsed")
        left = self._seconds_left(trials, elapsed)
        if left is not None:
            parts.append(f"about {clock(left)} left")
        return ", ".join(parts)

    def _seconds_left(self, trials: list[TrialRecord], elapsed: float) -> float | None:
        """Units still to come, times the usual seconds of a unit; None before the first unit."""
        reports = [metrics for trial in trials for metrics in trial.reports.values()]
        running = [t for t in trials if t.status == "running"]
        if not reports or not running:
            return None
        seconds = sum((m["train_seconds"] or 0) + (m["eval_seconds"] or 0) for m in reports)
        # What ASHA lets a trial have on average, corrected by what trials have had.
        gains = zip(self._plan.rungs, (0, *self._plan.rungs), strict=False)
        expected = sum((r - s) / self._plan.options.eta**k for k, (r, s) in enumerate(gains))
        had = [t.units for t in trials if t.status != "running"]
        usual = (2 * expected + sum(had)) / (2 + len(had))
        to_come = usual * max(0, self._plan.n_trials - len(trials))
        to_come += sum(max(usual - t.units, 1) for t in running)
        left: float = to_come * seconds / len(reports) / len(running)
        limit = self._plan.time_limit
        return left if limit is None else min(left, max(0.0, limit - elapsed))


def summary(plan: Plan, trials: list[TrialRecord], winner: TrialRecord | None) -> str:
    """The leaderboard, and what to type next."""
    lines = ["rank trial units  score   sst     para    sts     status"]
    for rank, trial in enumerate(leaderboard(trials)[:10], start=1):
        cells = [trial.last.get(key) for key in ("score", "sst_acc", "para_acc", "sts_corr")]
        numbers = " ".join(f"{v:7.4f}" if v is not None else "      -" for v in cells)
        lines.append(
            f"{rank:4} {trial.number:5} {trial.units:3}/{plan.options.units} {numbers}  "
            f"{trial.status}"
        )
    if winner is None:
        return "\n".join([*lines, "", "no trial finished a unit; see the errors above"])
    folder = plan.folder.uri
    lines += [
        "",
        f"  tensorboard --logdir {folder}",
        f"  python search/retrain.py {folder}/best.json --seeds 3",
    ]
    if any(trial.status == "interrupted" for trial in trials):
        lines.append(f"  the same command with --name {plan.folder.name} --resume goes on")
    return "\n".join(lines)
