"""Landscapes like the recorded one: a curve for params that were never run.

A run's curve is taken as

    g(forest(params) + c(params)) + e(run)

A random forest of the recorded trials gives the first part, and what it does not explain the
others, as whole curves: c is what both runs of a trial share, e what they do not. Where two params
fall into the same leaf in a share p of the forest's trees, their c are correlated by p: a
configuration near a good one is likely to be good too. Runs near recorded ones say how much of that
is so (`tests.benchmarks.recorded`). g makes random configurations score as recorded ones do
(`tests.benchmarks.marginal`): they get no better without end. Nor is luck the same everywhere: e is
that of a recorded trial that scores about the same. What a configuration is worth has no e: it is
what runs with other seeds score on average.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from search.searchers.base import draw_params
from spaces.space import Space
from tests.benchmarks.curve import UNITS, Curve, CurveOf, Params, luck, scaled
from tests.benchmarks.marginal import Marginal
from trainable.component import Choice

_N_TREES = 100
_N_DRAWS = 1000  # random configurations, to know how the landscapes' scores are distributed
_N_ALIKE = 25  # recorded trials that score about the same, of one of which luck is


class Surrogate:
    """Curves between recorded ones.

    Args:
        space: Of the recorded trials.
        trials: `params` of each, and `scores` and `worth` of two `runs`.

    Attributes:
        explained: Rank correlation of out-of-bag predictions with the means of both runs, after
            each unit; the last one is that of `worth`.
        residuals: (n_trials, 2, UNITS + 1) what each run differs by from the predictions.
        shared: (n_trials, UNITS + 1) draws of c, at the scale that it has.
        own: (n_trials, UNITS + 1) draws of e, likewise, but for their signs.
    """

    def __init__(self, space: Space, trials: list[dict[str, Any]]) -> None:
        self._params = space.params()
        inputs = self.features([trial["params"] for trial in trials])
        runs = runs_of(trials)
        scores = runs.mean(axis=1)  # (n_trials, UNITS + 1)
        forest = fitted(inputs, scores)
        # The forest's own `predict` takes many times as long for a single row.
        self._trees = [tree.tree_ for tree in forest.estimators_]
        self._values = [tree.value[..., 0] for tree in self._trees]  # (nodes, UNITS + 1) of each
        predicted = forest.oob_prediction_
        self.residuals = runs - predicted[:, None]
        self.explained = [
            float(stats.spearmanr(predicted[:, k], scores[:, k]).statistic)
            for k in range(UNITS + 1)
        ]
        both = self.residuals.mean(axis=1)
        both -= both.mean(axis=0)
        # Half of the luck is still in the mean of two runs, which is why it is too wide.
        variance = np.maximum(shared_variance(self.residuals), 0.0)
        self.shared = both * np.sqrt(variance / np.maximum(both.var(axis=0), 1e-12))
        self.own = (self.residuals[:, 0] - self.residuals[:, 1]) / math.sqrt(2)
        self._ranked = np.argsort(scores[:, UNITS - 1])
        self._ends = scores[self._ranked, UNITS - 1]
        generator = random.Random(0)
        draws = [draw_params(self._params, generator) for _ in range(_N_DRAWS)]
        means, sd = self._forest(self._leaves(self.features(draws))), self.shared.std(axis=0)
        self._marginals = [Marginal(means[:, k], sd[k], scores[:, k]) for k in range(UNITS + 1)]

    def problem(self, seed: int) -> CurveOf:
        """Return a landscape: every leaf has c of one recorded trial."""
        most, n = max(tree.node_count for tree in self._trees), len(self.shared)
        drawn = np.random.default_rng(seed).integers(n, size=(_N_TREES, most))
        trees = np.arange(_N_TREES)

        def curve_of(params: Params) -> Curve:
            leaves = self._leaves(self.features([params]))  # (trees, 1)
            of_leaves = drawn[trees, leaves[:, 0]]  # (trees,)
            shared = self.shared[of_leaves].sum(axis=0) / math.sqrt(_N_TREES)
            total = self._forest(leaves)[0] + shared
            mean = np.array([g(score) for g, score in zip(self._marginals, total, strict=True)])
            seen = self._luck(float(mean[UNITS - 1]), luck(f"run {seed}", params))
            return Curve((mean + seen)[:-1].tolist(), float(mean[-1]))

        return curve_of

    def _luck(self, end: float, draw: random.Random) -> np.ndarray:
        """Return e of one of the recorded trials whose scores end about there: (UNITS + 1,)."""
        place = int(np.searchsorted(self._ends, end))
        first = min(max(place - _N_ALIKE // 2, 0), max(len(self._ends) - _N_ALIKE, 0))
        alike = self._ranked[first : first + _N_ALIKE]
        return np.asarray(draw.choice((-1.0, 1.0)) * self.own[alike[draw.randrange(len(alike))]])

    def _forest(self, leaves: np.ndarray) -> np.ndarray:
        """Return what the forest says: (rows, UNITS + 1) for (trees, rows)."""
        of_trees = [values[own] for values, own in zip(self._values, leaves, strict=True)]
        return np.asarray(np.mean(of_trees, axis=0))

    def likeness(self, one: Params, other: Params) -> float:
        """Return the correlation of two configurations' c, over landscapes."""
        leaves = self._leaves(self.features([one, other]))
        return float((leaves[:, 0] == leaves[:, 1]).mean())

    def _leaves(self, rows: np.ndarray) -> np.ndarray:
        """Return the leaf of each row in each tree: (trees, rows)."""
        return np.array([tree.apply(rows) for tree in self._trees])

    def features(self, configurations: list[Params]) -> np.ndarray:
        """Return a number for each range, -1 where it does not exist, and for each choice."""
        return np.array([self._row(params) for params in configurations], dtype=np.float32)

    def _row(self, params: Params) -> list[float]:
        found: list[float] = []
        for param in self._params:
            value = params.get(param.name)
            if isinstance(param.domain, Choice):
                found += [float(value == choice) for choice in param.domain.values]
            else:
                found.append(-1.0 if value is None else scaled(param, value))
        return found


def fitted(inputs: np.ndarray, scores: np.ndarray) -> RandomForestRegressor:
    """Return a forest of (trials, features) and (trials, UNITS + 1)."""
    return RandomForestRegressor(
        _N_TREES, min_samples_leaf=2, max_features=0.5, oob_score=True, random_state=0, n_jobs=1
    ).fit(inputs, scores)


def runs_of(trials: list[dict[str, Any]]) -> np.ndarray:
    """Return scores, and the worth behind them, of both runs: (n_trials, 2, UNITS + 1).

    Between units after which a run was scored its curve is straight.
    """
    curves = [[[*_filled(r["scores"]), r["worth"]] for r in trial["runs"]] for trial in trials]
    return np.array(curves)


def _filled(scores: list[float | None]) -> list[float]:
    known = [(unit, score) for unit, score in enumerate(scores) if score is not None]
    return np.interp(range(len(scores)), *zip(*known, strict=True)).tolist()  # type: ignore[arg-type]


def shared_variance(residuals: np.ndarray) -> np.ndarray:
    """Return the covariance of two runs of a trial: (..., ) for (n_trials, 2, ...)."""
    centred = residuals - residuals.mean(axis=(0, 1))
    return np.asarray((centred[:, 0] * centred[:, 1]).mean(axis=0))
