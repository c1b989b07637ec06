"""A stretch of a trial on one place."""

from __future__ import annotations

from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.schedulers.base import Decision


@dataclass
class Job:
    """A stretch of a trial on one place.

    Attributes:
        trial: What trains.
        unit: Units that it had when the job began.
        asked: When it was handed out, in seconds of the clock.
        started: When it got its place; None while it waits for one.
        heard: When it was last heard of.
        verdict: What the scheduler decided to end it with; None while it runs.
        failure: What the run itself ended with; empty if nothing.
        node: Where it runs, once that is known.
        reported: Unit that it reported last; 0 before the first.
        is_leaving: Whether it leaves its machine, so that the next error is no failure.
    """

    trial: TrialRecord
    unit: int
    asked: float
    heard: float
    started: float | None = None
    verdict: Decision | None = None
    failure: str = ""
    node: str = ""
    reported: int = 0
    is_leaving: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether nothing was decided that ends it."""
        return self.verdict is None or self.verdict.action == "continue"
