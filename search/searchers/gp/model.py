"""RungModel: one Gaussian process for the scores at all rungs.

The score of trial t at rung k is

    mean_k + f_k(params of t) + e_k(t)

f are smooth functions of the params, correlated between rungs: cov(f_k(x), f_l(y)) = B_kl K(x, y).
e is what params do not explain, such as the luck of a seed, and goes along with a trial from rung
to rung: cov(e_k(t), e_l(t)) = D_kl, 0 between trials. K is a Matern 5/2 kernel with a length scale
for each param; means, B, D and length scales are learned. Where curves cross, B says so: what is
high at one rung and low at the next.

Source: Bonilla et al. 2007, Multi-task Gaussian Process Prediction, and Swersky et al. 2013,
Multi-Task Bayesian Optimization, section 3.1 (f, with rungs for tasks); e is ours. How they are
learned: `search.searchers.gp.fit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

MEAN_SD = 10.0  # of the prior of a rung's mean
_NOISE = 1e-3  # variance that each score has for itself


@dataclass(frozen=True)
class Results:
    """Scores of trials at rungs.

    Attributes:
        features: (trials, features) of trials, each once.
        rungs: (scores,) 0 for the first, ...
        trials: (scores,) which of these trials.
        scores: (scores,) any numbers.
    """

    features: _Floats
    rungs: _Ints
    trials: _Ints
    scores: _Floats


@dataclass(frozen=True)
class Hyperparameters:
    """What is learned before a prediction.

    Attributes:
        middle: Score that is 0 for the model.
        scale: Score that is 1 above it.
        weights: (features,) reciprocals of squared length scales.
        shared: (rungs, rungs) B, covariance of f.
        own: (rungs, rungs) D, covariance of e.
    """

    middle: float
    scale: float
    weights: _Floats
    shared: _Floats
    own: _Floats


class RungModel:
    """What results say of the params.

    Args:
        results: At least one.
        known: What was learned from these, or from part of them.
    """

    def __init__(self, results: Results, known: Hyperparameters) -> None:
        self._results, self._known = results, known
        rungs, trials = results.rungs, results.trials
        at = np.eye(len(known.shared))[rungs]  # (scores, rungs)
        scores = (results.scores - known.middle) / known.scale
        self._scaled = results.features * np.sqrt(known.weights)  # (trials, features)
        by_trial = matern(distances(self._scaled, self._scaled))  # (trials, trials)
        kernel = by_trial.take(pairs(trials, len(by_trial)))  # (scores, scores)
        of_rungs = pairs(rungs, len(known.shared))
        shared, own = known.shared.take(of_rungs), known.own.take(of_rungs)
        self._factor = factor_of(covariance_of(kernel, same_trial(trials), shared, own))
        self._means, self._weighted = solve(self._factor, at, scores)

    def predict(self, features: _Floats) -> tuple[_Floats, _Floats]:
        """Return mean and standard deviation of what params are worth at the last rung, without e.

        Args:
            features: (points, features).

        Returns:
            Two arrays (points,), on the scale of the scores.
        """
        cross = self._cross(features)
        explained = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        most = self._known.shared[-1, -1]  # of a variance
        sd = np.sqrt(np.maximum(most - (explained**2).sum(axis=0), 1e-10))
        return self._mean(cross), self._known.scale * sd

    def mean(self, features: _Floats) -> _Floats:
        """Return the mean alone, which needs no solving."""
        return self._mean(self._cross(features))

    def _cross(self, features: _Floats) -> _Floats:
        """Return the covariance of points at the last rung with the scores: (points, scores)."""
        known, results = self._known, self._results
        kernel = matern(distances(features * np.sqrt(known.weights), self._scaled))
        return np.asarray(kernel.take(results.trials, axis=1) * known.shared[-1, results.rungs])

    def _mean(self, cross: _Floats) -> _Floats:
        known = self._known
        return np.asarray(known.middle + known.scale * (self._means[-1] + cross @ self._weighted))

    @property
    def luck(self) -> float:
        """Standard deviation of e at the last rung, on the scale of the scores."""
        return self._known.scale * math.sqrt(self._known.own[-1, -1])

    def believe(self, features: _Floats) -> RungModel:
        """Return the model as if more trials had come out at the last rung as it predicts.

        Source: Ginsbourger et al. 2010, Kriging Is Well-Suited to Parallelize Optimization
        (the "kriging believer").

        Args:
            features: (trials, features) of trials that are under way.
        """
        old, n = self._results, len(features)
        last = np.full(n, len(self._known.shared) - 1)
        more = Results(
            np.vstack([old.features, features]),
            np.concatenate([old.rungs, last]),
            np.concatenate([old.trials, len(old.features) + np.arange(n)]),
            np.concatenate([old.scores, self.mean(features)]),
        )
        return RungModel(more, self._known)


def same_trial(trials: _Ints) -> _Floats:
    """Return 1 where two scores are of the same trial, else 0: (scores, scores)."""
    return np.asarray(trials[:, None] == trials, dtype=np.float64)


def pairs(of: _Ints, n: int) -> _Ints:
    """Return where the cells of all pairs are in a flat square matrix: (scores, scores).

    Args:
        of: (scores,) row of each score, and column.
        n: Rows of the matrix.
    """
    return np.asarray(of[:, None] * n + of)


def covariance_of(kernel: _Floats, same: _Floats, shared: _Floats, own: _Floats) -> _Floats:
    """Return the covariance of all scores; all matrices are (scores, scores).

    Args:
        kernel: Of the params.
        same: Of `same_trial`.
        shared: B, at the rungs of two scores.
        own: D, likewise.
    """
    total = shared * kernel
    total += own * same
    total.flat[:: len(total) + 1] += _NOISE
    return np.asarray(total)


def factor_of(covariance: _Floats) -> _Floats:
    """Return the lower factor of Cholesky's."""
    return np.asarray(cholesky(covariance, lower=True, check_finite=False), dtype=np.float64)


def solve(factor: _Floats, at: _Floats, scores: _Floats) -> tuple[_Floats, _Floats]:
    """Return the most probable means of the rungs, and the inverse covariance times what is left.

    Args:
        factor: (scores, scores) of the covariance.
        at: (scores, rungs) 1 at the rung of each score.
        scores: (scores,).
    """
    solved = cho_solve((factor, True), np.column_stack([at, scores]), check_finite=False)
    columns, left = solved[:, :-1], solved[:, -1]
    means = np.linalg.solve(at.T @ columns + np.eye(at.shape[1]) / MEAN_SD**2, at.T @ left)
    return means, np.asarray(left - columns @ means)


def distances(x: _Floats, y: _Floats) -> _Floats:
    """Return the squared distances of all pairs: (a, b).

    Args:
        x: (a, features), each in its length scale.
        y: (b, features), likewise.
    """
    squares = x @ y.T  # in place from here on: this is what most of a suggestion's time goes into
    squares *= -2.0
    squares += np.einsum("af,af->a", x, x)[:, None]
    squares += np.einsum("bf,bf->b", y, y)
    return np.asarray(np.maximum(squares, 0.0, out=squares))  # rounding


def matern(squares: _Floats) -> _Floats:
    """Return the Matern 5/2 kernel of squared distances."""
    r = np.sqrt(5 * squares)
    return np.asarray((1 + r + 5 / 3 * squares) * np.exp(-r))


def matern_and_slope(squares: _Floats) -> tuple[_Floats, _Floats]:
    """Return the same, and its derivative by the squared distance."""
    r = np.sqrt(5 * squares)
    falling = np.exp(-r)
    return (1 + r + 5 / 3 * squares) * falling, -5 / 6 * (1 + r) * falling
