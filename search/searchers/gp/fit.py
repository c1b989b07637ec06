"""Fits the hyperparameters of a RungModel to results.

Source: Hvarfner et al. 2024, Vanilla Bayesian Optimization Performs Great in High Dimensions
(arXiv:2402.02229), for the prior of length scales, which grow with the number of params. Its
constants are our own, and so are the priors of B and D. L-BFGS-B finds the most probable values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from search.searchers.gp.model import (
    MEAN_SD,
    Hyperparameters,
    Results,
    covariance_of,
    distances,
    factor_of,
    matern_and_slope,
    pairs,
    same_trial,
    solve,
)

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

_LENGTH = 0.4  # prior median of the length scale of a single param, in ranges
# Prior standard deviation of the logarithm of a length scale. Few of a hundred params matter, and
# with a narrow prior no result could show which.
_LENGTH_SD = 0.6
# Prior standard deviations of f: of what all rungs share, and of what each rung has alone.
_LEVEL, _CHANGE = 1.2, 1.0
_OWN_LEVEL, _OWN_CHANGE = 0.3, 0.2  # the same for e
# Prior standard deviation of the entries of the factors of B and D. With a wider prior four results
# at the last rung, all of promoted trials, could make it independent of the other rungs.
_SD = 0.4
_REACH = 10.0  # bounds of the search, in prior standard deviations
_ITERATIONS = 30


def length_scales(n_params: int) -> _Floats:
    """Return the prior medians of the length scales, which grow with sqrt(params): (params,).

    They are in ranges for a number; two values of a choice are at distance 1.
    """
    return np.full(n_params, _LENGTH * math.sqrt(n_params))


def learn(results: Results, n_rungs: int, param_of: _Ints, lengths: _Floats) -> Hyperparameters:
    """Return the most probable hyperparameters.

    Args:
        results: At least one score.
        n_rungs: Number of rungs.
        param_of: (features,) index of the param that each feature belongs to.
        lengths: (params,) prior medians of the length scales.
    """
    middle, scale = _standard(results)
    posterior = Posterior(results, (results.scores - middle) / scale, n_rungs, param_of, lengths)
    # Within these bounds every covariance is finite and can be inverted.
    reach = _REACH * posterior.sd
    bounds = list(zip(posterior.start - reach, posterior.start + reach, strict=True))
    options: Any = {"maxiter": _ITERATIONS}
    found = minimize(
        posterior, posterior.start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    weights, level, own = posterior.parts(found.x)
    return Hyperparameters(middle, scale, weights, level @ level.T, own @ own.T)


def _standard(results: Results) -> tuple[float, float]:
    """Return the median at the lowest rung, and the standard deviation from the rungs' means."""
    scores, rungs = results.scores, results.rungs
    at_each = [scores[rungs == k] for k in np.unique(rungs)]
    squares = sum(float(((own - own.mean()) ** 2).sum()) for own in at_each)
    return float(np.median(at_each[0])), max(math.sqrt(squares / len(scores)), 1e-6)


class Posterior:
    """Minus the logarithm of the posterior density of hyperparameters, and its gradient.

    The vector of hyperparameters has, in this order, the logarithms of the reciprocals of squared
    length scales, and the lower triangles of the factors of B and D.

    Args:
        results: Features, rungs and trials of the scores.
        scores: (scores,) scores on a scale of about 1.
        n_rungs: Number of rungs.
        param_of: (features,) index of the param that each feature belongs to.
        lengths: (params,) prior medians of the length scales.

    Attributes:
        start: (hyperparameters,) means of their normal prior.
        sd: (hyperparameters,) standard deviations of that prior.
    """

    def __init__(
        self, results: Results, scores: _Floats, n_rungs: int, param_of: _Ints, lengths: _Floats
    ) -> None:
        self._x, self._scores, self._param_of = results.features, scores, param_of
        self._squares = self._x**2  # (trials, features)
        self._trials = pairs(results.trials, len(self._x))
        self._rungs = pairs(results.rungs, n_rungs)
        self._at = np.eye(n_rungs)[results.rungs]  # (scores, rungs)
        self._same = same_trial(results.trials)
        self._lower = np.tril_indices(n_rungs)
        n_params, n_lower = len(lengths), len(self._lower[0])
        self._ends = (n_params, n_params + n_lower)
        factors = [
            _factor(n_rungs, level, change)[self._lower]
            for level, change in ((_LEVEL, _CHANGE), (_OWN_LEVEL, _OWN_CHANGE))
        ]
        self.start = np.concatenate([-2 * np.log(lengths), *factors])
        self.sd = np.repeat([2 * _LENGTH_SD, _SD, _SD], [n_params, n_lower, n_lower])

    def parts(self, values: _Floats) -> tuple[_Floats, _Floats, _Floats]:
        """Return weights, (features,), and the factors of B and D, both (rungs, rungs)."""
        logs, level, own = np.split(values, self._ends)
        factors = []
        for lower in (level, own):
            factor = np.zeros((self._at.shape[1],) * 2)
            factor[self._lower] = lower
            factors.append(factor)
        return np.exp(logs)[self._param_of], factors[0], factors[1]

    def __call__(self, values: _Floats) -> tuple[float, _Floats]:
        """Return the value at these hyperparameters, and the gradient: (hyperparameters,)."""
        weights, level, own = self.parts(values)
        scaled = self._x * np.sqrt(weights)
        by_trial, slope = matern_and_slope(distances(scaled, scaled))  # (trials, trials)
        kernel = by_trial.take(self._trials)  # (scores, scores)
        shared = (level @ level.T).take(self._rungs)
        covariance = covariance_of(kernel, self._same, shared, (own @ own.T).take(self._rungs))
        factor = factor_of(covariance)
        means, weighted = solve(factor, self._at, self._scores)
        away = values - self.start
        value = (
            0.5 * float((self._scores - self._at @ means) @ weighted)
            + float(np.log(np.diag(factor)).sum())
            + 0.5 * float((means**2).sum()) / MEAN_SD**2
            + 0.5 * float(((away / self.sd) ** 2).sum())
        )
        by_cell = 0.5 * (_inverse(factor) - np.outer(weighted, weighted))  # of covariances
        by_kernel = _sums(by_cell * shared, self._trials, slope.size)
        by_distance = by_kernel.reshape(slope.shape) * slope  # (trials, trials)
        by_weight = 2 * (
            by_distance.sum(axis=1) @ self._squares
            - np.einsum("tf,tf->f", self._x, by_distance @ self._x)
        )
        n_params = self._ends[0]
        gradient = [_sums(by_weight * weights, self._param_of, n_params)]
        for cells, root in ((kernel, level), (self._same, own)):
            gradient.append((2 * self._at.T @ (by_cell * cells) @ self._at @ root)[self._lower])
        return value, np.concatenate(gradient) + away / self.sd**2


def _sums(values: _Floats, groups: _Ints, n: int) -> _Floats:
    """Return the sum of the values of each of n groups."""
    return np.asarray(np.bincount(groups.ravel(), values.ravel(), n), dtype=np.float64)


def _inverse(factor: _Floats) -> _Floats:
    """Return the inverse of a matrix from its lower Cholesky factor."""
    inverse, problem = dpotri(factor, lower=1)  # only the lower half is filled
    assert problem == 0  # it is not 0 if the diagonal has a 0, which a Cholesky factor never has
    return np.asarray(inverse + np.tril(inverse, -1).T)


def _factor(n_rungs: int, level: float, change: float) -> _Floats:
    """Return F such that F F' is level^2, plus change^2 on the diagonal below its first cell."""
    factor = np.diag(np.full(n_rungs, change))
    factor[:, 0] = level
    return factor
