"""Landscapes like the recorded one: learning curves for params that were never run.

The curve of a run is

    g(forest(params) + c(params)) + e(run)

- A random forest is fitted to the recorded trials. Its residuals give c and e, as whole curves.
- c is what both runs of a trial have in common. If two configurations fall into the same leaf in a
  fraction p of the forest's trees, the correlation of their c is p, so that a configuration near a
  good one is likely to be good. recorded.py checks this with neighbours of recorded configurations.
- g is increasing, and gives random configurations the distribution of recorded scores, so that
  scores have an upper limit (marginal.py).
- e is the noise of a run. It is that of a recorded trial with about the same score, because good
  trials scatter less than bad ones.

The worth of a configuration has no e: it is the mean over runs with other seeds.
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
from tests.benchmarks.curve import UNITS, Curve, CurveOf, Params, generator_for, scaled
from tests.benchmarks.marginal import Marginal
from trainable.component import Choice

_N_TREES = 100
_N_DRAWS = 1000  # random configurations that give the distribution of the landscapes' scores
_N_ALIKE = 25  # recorded trials of about the same score, one of which gives the noise


class Surrogate:
    """A random landscape for each seed, fitted to recorded curves.

    Args:
        space: Search space of the recorded trials.
        trials: `params` of each, and `scores` and `worth` of two `runs`.

    Attributes:
        explained: (UNITS + 1,) rank correlations of out-of-bag predictions with the means of both
            runs, after each unit and for `worth`.
        residuals: (n_trials, 2, UNITS + 1) differences of both runs from the predictions.
        shared: (n_trials, UNITS + 1) samples of c, scaled to its variance.
        own: (n_trials, UNITS + 1) samples of e; their signs are random.
    """

    def __init__(self, space: Space, trials: list[dict[str, Any]]) -> None:
        self._params = space.params()
        inputs = self.features([trial["params"] for trial in trials])
        runs = runs_of(trials)
        scores = runs.mean(axis=1)  # (n_trials, UNITS + 1)
        forest = fitted(inputs, scores)
        # `RandomForestRegressor.predict` is many times slower for a single row.
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
        # The mean of two runs still has half of the variance of e, so it is scaled down.
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
        """Return a landscape, in which each leaf has the c of one random recorded trial."""
        most, n = max(tree.node_count for tree in self._trees), len(self.shared)
        drawn = np.random.default_rng(seed).integers(n, size=(_N_TREES, most))
        trees = np.arange(_N_TREES)

        def curve_of(params: Params) -> Curve:
            leaves = self._leaves(self.features([params]))  # (trees, 1)
            of_leaves = drawn[trees, leaves[:, 0]]  # (trees,)
            shared = self.shared[of_leaves].sum(axis=0) / math.sqrt(_N_TREES)
            total = self._forest(leaves)[0] + shared
            mean = np.array([g(score) for g, score in zip(self._marginals, total, strict=True)])
            seen = self._noise(float(mean[UNITS - 1]), generator_for(f"run {seed}", params))
            return Curve((mean + seen)[:-1].tolist(), float(mean[-1]))

        return curve_of

    def _noise(self, end: float, draw: random.Random) -> np.ndarray:
        """Return the e of a recorded trial whose final score is about `end`: (UNITS + 1,)."""
        rank = int(np.searchsorted(self._ends, end))
        first = min(max(rank - _N_ALIKE // 2, 0), max(len(self._ends) - _N_ALIKE, 0))
        alike = self._ranked[first : first + _N_ALIKE]
        return np.asarray(draw.choice((-1.0, 1.0)) * self.own[alike[draw.randrange(len(alike))]])

    def _forest(self, leaves: np.ndarray) -> np.ndarray:
        """Return the forest's predictions, (rows, UNITS + 1), for leaves of (trees, rows)."""
        of_trees = [values[own] for values, own in zip(self._values, leaves, strict=True)]
        return np.asarray(np.mean(of_trees, axis=0))

    def likeness(self, one: Params, other: Params) -> float:
        """Return the correlation over landscapes of the c of two configurations, in [0, 1]."""
        leaves = self._leaves(self.features([one, other]))
        return float((leaves[:, 0] == leaves[:, 1]).mean())

    def _leaves(self, rows: np.ndarray) -> np.ndarray:
        """Return the leaf of each row in each tree: (trees, rows)."""
        return np.array([tree.apply(rows) for tree in self._trees])

    def features(self, configurations: list[Params]) -> np.ndarray:
        """Return (configurations, features): choices one-hot, numbers in [0, 1] or -1 if absent."""
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
    """Return a forest that is fitted to (trials, features) and scores of (trials, ...)."""
    return RandomForestRegressor(
        _N_TREES, min_samples_leaf=2, max_features=0.5, oob_score=True, random_state=0, n_jobs=1
    ).fit(inputs, scores)


def runs_of(trials: list[dict[str, Any]]) -> np.ndarray:
    """Return the scores of both runs, followed by their worth: (n_trials, 2, UNITS + 1).

    Scores that were not recorded are interpolated linearly.
    """
    curves = [[[*_filled(r["scores"]), r["worth"]] for r in trial["runs"]] for trial in trials]
    return np.array(curves)


def _filled(scores: list[float | None]) -> list[float]:
    known = [(unit, score) for unit, score in enumerate(scores) if score is not None]
    return np.interp(range(len(scores)), *zip(*known, strict=True)).tolist()  # type: ignore[arg-type]


def shared_variance(residuals: np.ndarray) -> np.ndarray:
    """Return the covariance over trials of their two runs: (...) for (n_trials, 2, ...)."""
    centred = residuals - residuals.mean(axis=(0, 1))
    return np.asarray((centred[:, 0] * centred[:, 1]).mean(axis=0))
