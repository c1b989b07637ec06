"""No early stopping: every trial runs to its full budget."""

from __future__ import annotations

from search.log.trial import TrialRecord


class RunAll:
    """Lets every trial run to its full budget: the option `--scheduler none`."""

    def bracket(self, number: int) -> int:
        """Return 0: there is one bracket."""
        return 0

    def decide(self, trial: TrialRecord, unit: int) -> None:
        """Return None: there are no rungs."""

    def next_promotion(self, *, draining: bool) -> None:
        """Return None: nothing is ever promoted."""

    def unpromotable(self) -> list[TrialRecord]:
        """Return nothing: no trial is ever paused."""
        return []
