"""What an earlier driver heard of and had no time to decide or to write down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from search.log.trial import TrialRecord
from search.loop.job import Job
from search.schedulers.base import Decision

MAX_FAILURES = 3  # of the machine, in a row


def jobs_to_close(
    trials: Iterable[TrialRecord],
    units: int,
    decide: Callable[[TrialRecord, int], Decision | None],
) -> Iterator[Job]:
    """Yield the last job of every trial that needs no other one, with what it ended with.

    Args:
        trials: Those that an earlier driver left open.
        units: Units of a full run.
        decide: Lets the scheduler decide on a trial after a unit, and writes that down.
    """
    for trial in trials:
        job = _last_job(trial, decide)
        # A finished run without its last checkpoint trains the last unit again.
        is_done = trial.units >= units and trial.units in trial.checkpoints
        if job.failure or is_done or not job.goes_on:
            yield job


def _last_job(trial: TrialRecord, decide: Callable[[TrialRecord, int], Decision | None]) -> Job:
    unit = trial.units
    failed_too_often = trial.last_failure if trial.failures >= MAX_FAILURES else ""
    job = Job(trial, unit, 0.0, 0.0, failure=trial.error or failed_too_often)
    if unit in trial.decided and unit not in trial.promoted and not trial.is_audited:
        job.verdict = Decision(trial.decided[unit], 0, 0)
    elif unit and unit not in trial.decided and not job.failure:
        job.verdict = decide(trial, unit)
    return job
