"""What a search is replayed on: a curve for any configuration."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable
from typing import NamedTuple

from search.searchers.base import Params
from spaces.params import Param
from trainable.component import Value
from trainable.tasks import TASK_METRICS

UNITS = 9


class Curve(NamedTuple):
    """What becomes of a configuration.

    Attributes:
        scores: After units 1 to 9, as a search sees them.
        worth: After a full run, by what no search sees, so that luck in the scores earns nothing.
            Made-up curves: without their noise. Those like recorded ones: of other runs, with other
            seeds, on the split *confirm*, on average, as when the best configuration of a search is
            trained again and again.
        tasks: Metrics of the three tasks, each like `scores`, which are their means; empty where
            they are not known.
    """

    scores: list[float]
    worth: float
    tasks: tuple[list[float], ...] = ()

    def report(self, unit: int) -> dict[str, float]:
        """Return what a trial reports after a unit."""
        metrics = zip(TASK_METRICS, self.tasks, strict=False)
        return {"score": self.scores[unit - 1]} | {name: own[unit - 1] for name, own in metrics}


CurveOf = Callable[[Params], Curve]


def scaled(param: Param, value: Value) -> float:
    """Return where a number is in its range, in [0, 1], on the range's own scale."""
    low, high, number = param.domain.low, param.domain.high, float(value)  # type: ignore[union-attr]
    if getattr(param.domain, "log", False):
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def luck(name: str, params: Params) -> random.Random:
    """Return a generator that is the same whenever these params are asked for."""
    text = name + json.dumps(params, sort_keys=True)
    return random.Random(hashlib.sha256(text.encode()).digest())
