"""How trials pause and end, written down."""

from __future__ import annotations

from collections.abc import Callable

from search.log.history import Journal
from search.log.trial import Status, TrialRecord
from search.loop.job import Job


class Endings:
    """Writes down that trials are paused or over.

    Args:
        journal: History and log.
        units: Units of a full run.
        on_closed: Called with the record of a trial that was paused or is over, once that is in
            the log.
    """

    def __init__(
        self, journal: Journal, units: int, on_closed: Callable[[TrialRecord], None]
    ) -> None:
        self._journal, self._units, self._on_closed = journal, units, on_closed

    def close(self, job: Job) -> None:
        """Write down what becomes of the trial of a job that has ended."""
        trial = job.trial
        if job.failure:
            self.end(trial, "failed", job.failure)
        elif trial.units >= self._units:
            self.end(trial, "done")
        elif job.verdict is None or job.verdict.action == "continue":
            self.end(trial, "interrupted")
        elif job.verdict.action == "pause":
            self._journal.write("paused", trial=trial.number, unit=trial.units)
            self._on_closed(trial)
        else:
            self.stop(trial, "the scheduler gave it up")

    def stop(self, trial: TrialRecord, reason: str) -> None:
        """Write down that a trial is stopped by the scheduler, and therefore over."""
        self._journal.write("stopped", trial=trial.number, unit=trial.units, reason=reason)
        self.end(trial, "stopped")

    def end(self, trial: TrialRecord, status: Status, error: str | None = None) -> None:
        """Write down that a trial is over, or interrupted."""
        self._journal.write("ended", trial=trial.number, status=status, error=error)
        self._on_closed(trial)
