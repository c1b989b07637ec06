"""Families of learning curves that a search can be replayed on: recorded ones, and two made up."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from spaces.catalogue import base_config, make_space
from spaces.space import Space
from spaces.walk import Param, Value
from trainable.component import Choice
from trainable.data.sources import SampleData
from trainable.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

UNITS = 9
RECORDED = Path(__file__).with_name("recorded_curves.jsonl.gz")
Params = dict[str, Value]


class Curve(NamedTuple):
    """What becomes of a configuration.

    Attributes:
        scores: After units 1 to 9, as a search sees them.
        worth: After a full run, by what no search sees, so that luck in the scores earns nothing.
            Made-up curves: without their noise. Recorded ones: of another run, with another seed,
            on the split *confirm*, as when the best configuration of a search is trained again.
    """

    scores: list[float]
    worth: float


CurveOf = Callable[[Params], Curve]

# One of each sort that `full` has: ranges, a range with a logarithm, and choices.
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
        name: For tables.
        space: What varies.
        problem: Seed -> curve of any params; a made-up family has another optimum for every seed.
    """

    name: str
    space: Space
    problem: Callable[[int], CurveOf]


def family(name: str) -> Family:
    """Return `recorded`, `crossing` or `parallel`."""
    if name == "recorded":
        space = _space("full")
        curve_of = Surrogate(space, read_recorded()).curve
        return Family(name, space, lambda seed: curve_of)
    full = _space("full")
    few = Space(name, full.base, _FEW)
    return Family(name, few, lambda seed: _MadeUp(few, seed, crossing=name == "crossing").curve)


def _space(name: str) -> Space:
    """Return a space with the ranges of a pretrained encoder, which is never loaded."""
    stage = Multitask(budget_tokens=9000, units=UNITS)
    return make_space(name, base_config(EncoderConfig(source="bert"), SampleData(), 0, stage))


def read_recorded(path: Path = RECORDED) -> list[dict[str, Any]]:
    """Return `params` of the recorded trials, and `scores` and `worth` of two `runs` of each."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class _MadeUp:
    """Curves `asymptote * (1 - exp(-speed * unit))`, with a little noise.

    `parallel`: all have the same speed, so that the order after one unit is that at the end.
    `crossing`: the higher the learning rate, the faster a curve rises and the lower it ends.
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
        noise = _generator(f"noise {self._seed}", params)
        means = [asymptote * (1 - math.exp(-speed * unit)) for unit in range(1, UNITS + 1)]
        return Curve([mean + noise.gauss(0.0, 0.005) for mean in means], means[-1])


class Surrogate:
    """Curves of params that were never run, from those that were.

    A random forest gives the mean curve. What it does not explain is added: the out-of-bag residual
    of a run of one recorded trial, which a hash of the params chooses, as a whole curve; to what it
    is worth, that of the trial's other run. So curves cross and scatter as much as the recorded
    ones do, luck is lost when the winner is trained again and the rest is not, and the same params
    always have the same curve.

    Args:
        space: Of the recorded trials.
        trials: Of `read_recorded`.

    Attributes:
        explained: Rank correlation of out-of-bag predictions with the means of both runs, after
            each unit; the last one is that of `worth`.
        residuals: (n_trials, 2, UNITS + 1) what each run differs by from the predictions.
    """

    def __init__(self, space: Space, trials: list[dict[str, Any]]) -> None:
        self._params = space.params()
        inputs = np.array([self._features(trial["params"]) for trial in trials])
        runs = np.array([[[*r["scores"], r["worth"]] for r in trial["runs"]] for trial in trials])
        scores = runs.mean(axis=1)  # (n_trials, UNITS + 1)
        forest = RandomForestRegressor(
            100, min_samples_leaf=2, max_features=0.5, oob_score=True, random_state=0, n_jobs=1
        ).fit(inputs, scores)
        # The forest's own `predict` takes many times as long for a single row.
        self._trees = [tree.tree_ for tree in forest.estimators_]
        predicted = forest.oob_prediction_
        self.residuals = runs - predicted[:, None]
        self.explained = [
            float(stats.spearmanr(predicted[:, k], scores[:, k]).statistic)
            for k in range(UNITS + 1)
        ]

    def curve(self, params: Params) -> Curve:
        """Return the curve of a configuration."""
        row = np.array([self._features(params)], dtype=np.float32)
        *means, mean = np.mean([tree.predict(row).ravel() for tree in self._trees], axis=0)
        draw = _generator("residual", params)
        residuals, seen = self.residuals[draw.randrange(len(self.residuals))], draw.randrange(2)
        found = [float(value) for value in means + residuals[seen, :-1]]
        return Curve(found, float(mean + residuals[1 - seen, -1]))

    def _features(self, params: Params) -> list[float]:
        """Return a number for each range, -1 where it does not exist, and for each choice."""
        found: list[float] = []
        for param in self._params:
            value = params.get(param.name)
            if isinstance(param.domain, Choice):
                found += [float(value == choice) for choice in param.domain.values]
            else:
                found.append(-1.0 if value is None else scaled(param, value))
        return found


def scaled(param: Param, value: Value) -> float:
    """Return where a number is in its range, in [0, 1], on the range's own scale."""
    low, high, number = param.domain.low, param.domain.high, float(value)  # type: ignore[union-attr]
    if getattr(param.domain, "log", False):
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def _generator(name: str, params: Params) -> random.Random:
    text = name + json.dumps(params, sort_keys=True)
    return random.Random(hashlib.sha256(text.encode()).digest())
