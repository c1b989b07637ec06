"""What a person sees while a search runs."""

from __future__ import annotations

import math
import textwrap
import time
from collections import Counter

from rich.console import Console

from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.amounts import clock
from search.planning.options import SearchOptions
from search.schedulers.rungs import units_per_trial

# Between two status lines: a twentieth of what has elapsed, within these bounds.
_STATUS_SECONDS = 15.0
_STATUS_SECONDS_AT_MOST = 300.0
_LIVE_SECONDS = 0.5
_SPINNER_COLUMNS = 2  # of the first line of the live status
_WAITING = "waiting for a slot"
_SHOWN = ("running", _WAITING, "paused", "stopped", "done", "failed")


class Progress:
    """Prints a line when a trial gives up its slot or is stopped, and a status now and then.

    On a terminal the status stands below these lines and is kept up to date; otherwise it is a line
    of its own. With `--quiet` there is none.

    Args:
        dispatcher: The search.
        options: Whether to be quiet, and the time limit.
        rungs: Units after which a trial may be held back, ascending; the last one ends its run.
        console: Where to print.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        options: SearchOptions,
        rungs: tuple[int, ...],
        console: Console,
    ) -> None:
        self._dispatcher, self._options = dispatcher, options
        self._rungs, self._console = rungs, console
        self._started = self._shown = time.monotonic()
        self._status = console.status("starting the first trials") if self._live else None
        if self._status:
            self._status.start()

    @property
    def _live(self) -> bool:
        return self._console.is_terminal and not self._options.quiet

    def left(self, trial: TrialRecord) -> None:
        """Print how a trial gave up its slot, or that it was stopped while it was paused."""
        if trial.status == "failed":
            outcome = f"failed: {trial.error}"
        elif trial.notice and trial.status == "running":
            outcome = f"left its machine ({trial.notice}), waits for another slot"
        else:
            score = f"score {trial.score:.4f}" if trial.reports else "no score"
            status = "waits for another slot" if trial.status == "running" else trial.status
            outcome = f"{status} after unit {trial.units}/{self._options.units}, {score}"
            if trial.failures and trial.status in ("running", "paused"):
                outcome += f"; its job failed: {trial.last_failure}"
        if trial.seed_of is not None:
            self.say(f"[finalists] {trial.origin} {outcome}")
            return
        if trial.is_audited:
            outcome += (
                f"; run on for the audit, a rung had stopped it after unit {trial.audited_at}"
            )
        n_over = self._dispatcher.history.n_over
        self.say(f"[{n_over}/{self._dispatcher.queue.n_trials}] trial {trial.number} {outcome}")

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, markup=False, highlight=False)

    def look(self) -> None:
        """Bring the status up to date; called often."""
        now = time.monotonic()
        if self._status:
            wait = _LIVE_SECONDS
        else:
            wait = min(max((now - self._started) / 20, _STATUS_SECONDS), _STATUS_SECONDS_AT_MOST)
        if self._options.quiet or now - self._shown < wait:
            return
        self._shown = now
        if self._status:
            # The console cuts lines that are too long for it, which a status must not be.
            lines = textwrap.wrap(self._line(now), self._console.width - _SPINNER_COLUMNS)
            self._status.update("\n".join(lines))
        else:
            self.say(self._line(now))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._status:
            self._status.stop()

    def _line(self, now: float) -> str:
        trials = list(self._dispatcher.history.trials.values())
        jobs = self._dispatcher.jobs.values()
        running = {job.trial.number for job in jobs if job.started is not None}
        counts = Counter(
            _WAITING if trial.status == "running" and trial.number not in running else trial.status
            for trial in trials
        )
        parts = [f"{counts[status]} {status}" for status in _SHOWN if counts[status]]
        parts = parts or ["starting"]
        history = self._dispatcher.history
        if history.race is not None and not history.race.is_over:
            n_done = sum(run.is_over for run in history.seed_runs.values())
            parts.append(f"{n_done} of at most {history.race.n_runs} runs of finalists done")
        leader = self._dispatcher.history.best
        if leader:
            parts.append(self._best(leader))
        parts.append(f"{clock(now - self._started)} elapsed")
        left = self._seconds_left(trials, now)
        if left is not None:
            parts.append(f"about {clock(left)} left")
        return ", ".join(parts)

    def _best(self, leader: TrialRecord) -> str:
        """Say what the score is the best of: trials that went further rank before all others."""
        units = self._options.units
        among = "full runs" if leader.units >= units else f"trials at unit {leader.units}/{units}"
        return f"best of {among}: {leader.score:.4f} (trial {leader.number})"

    def _seconds_left(self, trials: list[TrialRecord], now: float) -> float | None:
        """Return an estimate from the usual seconds of a unit; None before the first unit."""
        jobs = self._dispatcher.jobs.values()
        seconds = self._dispatcher.history.unit_seconds()
        if math.isnan(seconds) or not jobs:
            return None
        per_trial = units_per_trial(self._rungs, self._options.eta)
        to_come = per_trial * self._dispatcher.queue.n_trials
        to_come -= sum(trial.units for trial in trials)
        if finalists := self._dispatcher.queue.finalists:
            to_come = 0 if self._dispatcher.history.race else max(0, to_come)
            runs = self._dispatcher.history.seed_runs.values()
            to_come += finalists.n_runs * self._options.units - sum(run.units for run in runs)
        spent = [min(now - job.heard, seconds) if job.started is not None else 0.0 for job in jobs]
        all_slots = to_come * seconds - sum(spent)
        # A trial that runs goes on to its next rung in any case.
        to_rung = [self._units_to_rung(job.trial.units) * seconds for job in jobs]
        longest = max(rest - own for rest, own in zip(to_rung, spent, strict=True))
        left: float = max(all_slots / len(jobs), longest, seconds / 2)
        limit = self._options.time_limit_seconds
        return left if limit is None else min(left, max(0.0, limit - (now - self._started)))

    def _units_to_rung(self, unit: int) -> int:
        return min((rung for rung in self._rungs if rung > unit), default=unit) - unit
