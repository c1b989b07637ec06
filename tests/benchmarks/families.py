"""Families of made-up learning curves for replays."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from search.searchers.base import Params
from spaces.catalogue import make_space
from spaces.space import Space
from tests.benchmarks.curve import UNITS, Curve, CurveOf, generator_for, scaled
from trainable.component import Choice
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

# `full` has linear ranges, logarithmic ranges and choices; these are some of each.
_FEW = (
    "multitask.optimization.lr",
    "multitask.optimization.head_lr",
    "multitask.optimization.layer_decay",
    "encoder.dropout",
    "sst.pooling",
    "para.pair",
)


@dataclass(frozen=True)
class Family:
    """Curves over a space.

    Attributes:
        name: As in `--families`.
        space: The search space.
        problem: Seed -> function from params to their curve; each seed has its own optimum.
    """

    name: str
    space: Space
    problem: Callable[[int], CurveOf]


def family(name: str) -> Family:
    """Return the family `crossing` or `parallel`."""
    space = space_of(name)
    return Family(name, space, lambda seed: _MadeUp(space, seed, crossing=name == "crossing").curve)


def space_of(name: str) -> Space:
    """Return the space of a family. Its ranges are those for a pretrained encoder."""
    stage = Multitask(budget_tokens=9000, units=UNITS)
    base = default_run(EncoderConfig(source="bert"), SampleData(), 0, stage)
    return Space(name, make_space("full", base).base, _FEW)


class _MadeUp:
    """Curves `asymptote * (1 - exp(-speed * unit))`, with a little noise.

    In `parallel` all curves rise at the same speed, so that their order after one unit is the
    final one. In `crossing` a higher learning rate makes a curve rise faster and end lower.
    """

    def __init__(self, space: Space, seed: int, *, crossing: bool) -> None:
        draw = random.Random(f"problem {seed}")
        self._params, self._seed, self._crossing = space.params(), seed, crossing
        (self._lr,) = [param for param in self._params if param.name == _FEW[0]]
        self._best = {param.name: draw.uniform(0.2, 0.8) for param in self._params}
        self._bonus = {
            (param.name, value): draw.uniform(0.0, 1.0)
            for param in self._params
            if isinstance(param.domain, Choice)
            for value in param.domain.values
        }

    def curve(self, params: Params) -> Curve:
        """Return the curve of a configuration."""
        losses = []
        for param in self._params:
            if isinstance(param.domain, Choice):
                losses.append(0.3 * (1 - self._bonus[param.name, params[param.name]]))
            else:
                losses.append((scaled(param, params[param.name]) - self._best[param.name]) ** 2)
        asymptote, speed = 0.85 - 0.3 * sum(losses), 0.5
        if self._crossing:
            lr = scaled(self._lr, params[self._lr.name])
            asymptote, speed = asymptote - 0.25 * lr, 0.15 + 0.85 * lr
        noise = generator_for(f"noise {self._seed}", params)
        means = [asymptote * (1 - math.exp(-speed * unit)) for unit in range(1, UNITS + 1)]
        return Curve([mean + noise.gauss(0.0, 0.005) for mean in means], means[-1])
