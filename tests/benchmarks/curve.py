"""Learning curves that a search is replayed on."""

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

UNITS = 9


class Curve(NamedTuple):
    """The learning curve of one configuration.

    Attributes:
        scores: Score after each of the units 1 to `UNITS`, which a search sees.
        worth: True quality of the configuration after a full run, which no search sees, so that
            noise in the scores earns nothing: the last score without noise.
    """

    scores: list[float]
    worth: float

    def report(self, unit: int) -> dict[str, float]:
        """Return the metrics that a trial reports after a unit, counted from 1."""
        return {"score": self.scores[unit - 1]}


CurveOf = Callable[[Params], Curve]


def scaled(param: Param, value: Value) -> float:
    """Return the position of a number in its range, in [0, 1], on the range's own scale."""
    low, high, number = param.domain.low, param.domain.high, float(value)  # type: ignore[union-attr]
    if getattr(param.domain, "log", False):
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def generator_for(name: str, params: Params) -> random.Random:
    """Return a new generator that is seeded by a name and params, in any order."""
    text = name + json.dumps(params, sort_keys=True)
    return random.Random(hashlib.sha256(text.encode()).digest())
