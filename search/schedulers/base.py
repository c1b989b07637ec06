"""The protocol of a scheduler, and what it decides.

A scheduler decides from the history alone: after a restart it is made anew from the event log, and
decides as the one of the killed driver would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from search.log.trial import Action, TrialRecord


@dataclass(frozen=True)
class Decision:
    """What a scheduler decides about a trial at a rung.

    Attributes:
        action: `continue`: the trial keeps its slot; `pause`: it gives up its slot and may be
            promoted later; `stop`: it ends.
        rank: Rank of the trial among the results of the rung; 1 is the best, and of equal scores
            the one of the earlier trial.
        among: Number of results of the rung, including this one.
    """

    action: Action
    rank: int
    among: int


class Scheduler(Protocol):
    """Decides which trials go on.

    The default is protected: it goes on at every rung, and takes no place away from other trials.
    Its state follows from the history: two schedulers of equal histories decide equally.
    """

    def bracket(self, number: int) -> int:
        """Return the bracket of the trial with this number: 0, 1, ..."""

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        """Decide about a trial that reported a unit; None if the unit is not a rung of its bracket.

        It is asked once for each report, when the report is in the history.
        """

    def next_promotion(self, *, draining: bool) -> tuple[TrialRecord, int, Decision] | None:
        """Return a paused trial to promote, the unit of its rung, and its rank there; or None.

        Args:
            draining: Whether no trial runs and no new trial will begin.
        """

    def unpromotable(self) -> list[TrialRecord]:
        """Return the paused trials that can never be promoted any more; each is returned once."""
