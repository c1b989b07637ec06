"""What a slot takes for the parts of a trial: training, evaluation, checkpoints and starts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from statistics import median

from search.log.trial import TrialRecord

PART_EXAMPLES = 1000  # of a task's *select*; more are evaluated after the last unit only


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
    """Return the mean of what slots measured at the same time; there is at least one."""
    all_costs = list(costs)
    names = [field.name for field in fields(UnitCost)]
    return UnitCost(
        *(sum(getattr(cost, name) for cost in all_costs) / len(all_costs) for name in names)
    )


def recorded_cost(trials: Iterable[TrialRecord], units: int) -> UnitCost | None:
    """Return the medians of what units took in a search; None before any unit was reported.

    Args:
        trials: Of one search. Units that failed do not count.
        units: Of a full run.
    """
    speeds: list[float] = []
    parts: list[float] = []  # seconds of evaluations before the last unit
    wholes: list[float] = []  # and after it
    saves: list[float] = []
    starts: list[float] = []
    for trial in trials:
        tokens = 0.0
        for unit, metrics in sorted(trial.reports.items()):
            now, seconds = metrics.get("tokens"), metrics.get("train_seconds")
            if not now or not seconds:
                break
            speeds.append((now - tokens) / seconds)
            tokens = now
            (wholes if unit >= units else parts).append(metrics.get("eval_seconds") or 0.0)
            saves.append(metrics.get("save_seconds") or 0.0)
            starts.append(metrics.get("start_seconds") or 0.0)
    if not speeds:
        return None
    part = _median(parts or wholes)
    whole = _median(wholes) if wholes else part
    return UnitCost(_median(speeds), part, whole, _median(saves), _median(starts))


def _median(values: list[float]) -> float:
    found = median(values)
    return 0.0 if math.isnan(found) else float(found)
