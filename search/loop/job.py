"""A job: what a trial trains between getting a slot and giving it up."""

from __future__ import annotations

from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.schedulers.base import Decision


@dataclass
class Job:
    """What a trial trains between getting a slot and giving it up.

    Attributes:
        trial: What trains.
        unit: Units that it had when the job began.
        asked: When it was handed out, in seconds of the clock.
        started: When it got its slot; None while it waits for one.
        heard: When it was last heard of.
        verdict: Last decision of the scheduler on its trial; None before one.
        failure: Error that the run itself ended with; empty without one.
        node: Address of the node that it runs on; empty until that is known.
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
        """Whether the scheduler has not ended it."""
        return self.verdict is None or self.verdict.action == "continue"
