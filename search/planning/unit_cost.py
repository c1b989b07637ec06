"""What a slot takes for the parts of a trial: training, evaluation, checkpoints and starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class UnitCost:
    """Seconds of one trial in one slot, while all slots are busy.

    Attributes:
        tokens_per_second: Tokens that are trained.
        part_seconds: To evaluate a part of *select*, after each unit but the last.
        whole_seconds: To evaluate *select* and *confirm*, after the last unit.
        save_seconds: To write a checkpoint, after each unit.
        start_seconds: To begin, or to go on after a pause.
    """

    tokens_per_second: float
    part_seconds: float
    whole_seconds: float
    save_seconds: float
    start_seconds: float

    def unit_seconds(self, unit_tokens: float) -> float:
        """Return the seconds of a unit that is not the last one of its trial."""
        return unit_tokens / self.tokens_per_second + self.part_seconds + self.save_seconds

    @property
    def last_seconds(self) -> float:
        """What the last unit of a trial takes longer than the others, at least 0."""
        return max(0.0, self.whole_seconds - self.part_seconds)


def mean_cost(costs: Iterable[UnitCost]) -> UnitCost:
    """Return a cost whose parts take the mean of the seconds of others; there is at least one."""
    all_costs = list(costs)
    return UnitCost(
        tokens_per_second=1 / fmean(1 / cost.tokens_per_second for cost in all_costs),
        part_seconds=fmean(cost.part_seconds for cost in all_costs),
        whole_seconds=fmean(cost.whole_seconds for cost in all_costs),
        save_seconds=fmean(cost.save_seconds for cost in all_costs),
        start_seconds=fmean(cost.start_seconds for cost in all_costs),
    )
