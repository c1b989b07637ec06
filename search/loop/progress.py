"""What a person sees while a search runs."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console

from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.amounts import clock
from search.planning.options import SearchOptions

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

    Attributes:
        forecast: Returns what is left, as the end of the status.

    Args:
        dispatcher: The search.
        options: Whether to be quiet.
        console: Where to print.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        options: SearchOptions,
        console: Console,
    ) -> None:
        self._dispatcher, self._options = dispatcher, options
        self._console = console
        self.forecast: Callable[[], str] = lambda: "starting"
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
        return ", ".join([*parts, self.forecast()])

    def _best(self, leader: TrialRecord) -> str:
        """Say what the score is the best of: trials that went further rank before all others."""
        units = self._options.units
        among = "full runs" if leader.units >= units else f"trials at unit {leader.units}/{units}"
        return f"best of {among}: {leader.score:.4f} (trial {leader.number})"
