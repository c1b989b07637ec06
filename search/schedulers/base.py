"""Who goes on: ASHA that pauses and promotes, Ray's ASHA that stops, or nobody is held back.

A scheduler decides from the history alone: one that is made anew from the log of a killed driver
decides as the killed one would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from search.log.trial import Action, TrialRecord


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial at a rung.

    Attributes:
        action: `continue` keeps its place, `pause` gives it up, `stop` gives up for good.
        rank: Among the results of the rung; 1 is the best.
        among: Results of the rung, this one included.
    """

    action: Action
    rank: int
    among: int


class Scheduler(Protocol):
    """Decides from what the history says, and keeps nothing that it does not say."""

    def bracket(self, number: int) -> int:
        """Return the bracket of a new trial."""

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        """Decide on a trial that reported a unit; None where the unit is no rung for it."""

    def next_promotion(self, *, draining: bool) -> tuple[TrialRecord, int, Decision] | None:
        """Return the paused trial to go on with, its rung, and its rank there, if there is one.

        Args:
            draining: Nothing runs and nothing new will come.
        """

    def unpromotable(self) -> list[TrialRecord]:
        """Return paused trials that can never be promoted any more, each of them once."""
