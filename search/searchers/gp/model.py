"""RungModel: one Gaussian process for the scores at all rungs.

The score of trial t at rung k is

    mean_k + f_k(params of t) + e_k(t)

f are smooth functions of the params, correlated between rungs: cov(f_k(x), f_l(y)) = B_kl K(x, y).
e is noise that the params do not explain, such as that of the seed. It is correlated between the
rungs of a trial, cov(e_k(t), e_l(t)) = D_kl, and independent between trials. K is a Matern 5/2
kernel with a length scale for each param; means, B, D and length scales are learned. If learning
curves cross, B has negative entries.

Source: Bonilla et al. 2007, Multi-task Gaussian Process Prediction, and Swersky et al. 2013,
Multi-Task Bayesian Optimization, section 3.1 (f, with rungs as tasks); e is our own.
`search.searchers.gp.fit` learns the hyperparameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

MEAN_SD = 10.0  # prior standard deviation of the mean of a rung
_NOISE = 1e-3  # variance of each score for itself, which keeps the covariance invertible


@dataclass(frozen=True)
class Results:
    """Scores of trials at rungs.

    Attributes:
        features: (trials, features) features of the trials, one row each.
        rungs: (scores,) index of the rung of each score; 0 is the first rung.
        trials: (scores,) row of the trial of each score in `features`.
        scores: (scores,) finite numbers on any scale.
    """

    features: _Floats
    rungs: _Ints
    trials: _Ints
    scores: _Floats


@dataclass(frozen=True)
class Hyperparameters:
    """The learned parameters of the model.

    Attributes:
        middle: Score that the model sees as 0.
        scale: Difference of scores that the model sees as 1, greater than 0.
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
    """Predicts the score at the last rung from params.

    Args:
        results: At least one score.
        known: Hyperparameters, learned from these results or from some of them.
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
        """Return mean and standard deviation of the score at the last rung, without e.

        Args:
            features: (points, features).

        Returns:
            Two arrays (points,), on the scale of the scores.
        """
        cross = self._cross(features)
        explained = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        most = self._known.shared[-1, -1]  # the prior variance
        sd = np.sqrt(np.maximum(most - (explained**2).sum(axis=0), 1e-10))
        return self._mean(cross), self._known.scale * sd

    def mean(self, features: _Floats) -> _Floats:
        """Return the mean alone, (points,), which needs no system of equations."""
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
    def noise_sd(self) -> float:
        """Standard deviation of e at the last rung, on the scale of the scores."""
        return self._known.scale * math.sqrt(self._known.own[-1, -1])

    def condition_on_pending(self, features: _Floats) -> RungModel:
        """Return the model as if pending trials had scored its predicted means at the last rung.

        Source: Ginsbourger et al. 2010, Kriging Is Well-Suited to Parallelize Optimization
        (the "kriging believer").

        Args:
            features: (trials, features) features of the pending trials.
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
    """Return the indices, in a flat square matrix, of the cells of all pairs: (scores, scores).

    Args:
        of: (scores,) row and column of each score in the matrix.
        n: Number of rows of the matrix.
    """
    return np.asarray(of[:, None] * n + of)


def covariance_of(kernel: _Floats, same: _Floats, shared: _Floats, own: _Floats) -> _Floats:
    """Return the covariance of all scores; all matrices are (scores, scores).

    Args:
        kernel: K of the params of two scores.
        same: Result of `same_trial`.
        shared: B at the rungs of two scores.
        own: D at the rungs of two scores.
    """
    total = shared * kernel
    total += own * same
    total.flat[:: len(total) + 1] += _NOISE
    return np.asarray(total)


def factor_of(covariance: _Floats) -> _Floats:
    """Return the lower Cholesky factor."""
    return np.asarray(cholesky(covariance, lower=True, check_finite=False), dtype=np.float64)


def solve(factor: _Floats, at: _Floats, scores: _Floats) -> tuple[_Floats, _Floats]:
    """Return the most probable means of the rungs, and the inverse covariance times the residuals.

    Args:
        factor: (scores, scores) lower Cholesky factor of the covariance.
        at: (scores, rungs) 1 at the rung of each score.
        scores: (scores,) standardized scores.

    Returns:
        Two arrays, (rungs,) and (scores,).
    """
    solved = cho_solve((factor, True), np.column_stack([at, scores]), check_finite=False)
    columns, left = solved[:, :-1], solved[:, -1]
    means = np.linalg.solve(at.T @ columns + np.eye(at.shape[1]) / MEAN_SD**2, at.T @ left)
    return means, np.asarray(left - columns @ means)


def distances(x: _Floats, y: _Floats) -> _Floats:
    """Return the squared distances of all pairs: (a, b).

    Args:
        x: (a, features), each divided by its length scale.
        y: (b, features), divided in the same way.
    """
    squares = x @ y.T  # in place from here on: most of the time of a suggestion goes into this
    squares *= -2.0
    squares += np.einsum("af,af->a", x, x)[:, None]
    squares += np.einsum("bf,bf->b", y, y)
    return np.asarray(np.maximum(squares, 0.0, out=squares))  # rounding may give -1e-16


def matern(squares: _Floats) -> _Floats:
    """Return the Matern 5/2 kernel of squared distances."""
    r = np.sqrt(5 * squares)
    return np.asarray((1 + r + 5 / 3 * squares) * np.exp(-r))


def matern_and_slope(squares: _Floats) -> tuple[_Floats, _Floats]:
    """Return the Matern 5/2 kernel, and its derivative with respect to the squared distance."""
    r = np.sqrt(5 * squares)
    falling = np.exp(-r)
    return (1 + r + 5 / 3 * squares) * falling, -5 / 6 * (1 + r) * falling
