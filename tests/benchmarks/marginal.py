"""Map scores of a landscape so that they are distributed like recorded scores."""

from __future__ import annotations

import numpy as np
from scipy import stats

_TAIL = 0.8  # above this quantile a fitted distribution replaces the recorded scores
_N_GRID, _REACH = 800, 8.0  # points; standard deviations beyond the outermost scores


class Marginal:
    """An increasing function that gives scores of a landscape the distribution of recorded ones.

    Scores of a landscape are sums and have no upper limit; recorded scores do. The best fifth of
    the recorded scores is replaced by a generalized Pareto distribution that is fitted to it. Where
    its shape is negative, it has an upper limit.

    Source: Pickands 1975, Statistical Inference Using Extreme Order Statistics, for the tail.

    Args:
        means: (n_draws,) mean scores of random configurations over landscapes.
        sd: Standard deviation around these means, over landscapes.
        recorded: (n_trials,) scores of random configurations.
    """

    def __init__(self, means: np.ndarray, sd: float, recorded: np.ndarray) -> None:
        sd = max(sd, 1e-6)
        reach = _REACH * sd
        self._grid = np.linspace(means.min() - reach, means.max() + reach, _N_GRID)
        below = stats.norm.cdf(self._grid[:, None], means, sd).mean(axis=1)
        self._scores = _quantiles(recorded, below)

    def __call__(self, score: float) -> float:
        """Return the mapped score."""
        return float(np.interp(score, self._grid, self._scores))


def _quantiles(recorded: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the quantiles of the recorded scores, with the fitted tail, for shares in [0, 1]."""
    n = len(recorded)
    found = np.interp(shares, (np.arange(n) + 0.5) / n, np.sort(recorded))
    start = np.quantile(recorded, _TAIL, method="hazen")
    above = recorded[recorded > start] - start
    if len(above) == 0:  # the best fifth are all equal
        return np.asarray(found)
    shape, _, scale = stats.genpareto.fit(above, floc=0.0)
    beyond = np.clip((shares - _TAIL) / (1 - _TAIL), 0.0, 1.0 - 1e-9)
    tail = start + stats.genpareto.ppf(beyond, shape, scale=scale)
    return np.asarray(np.where(shares > _TAIL, tail, found))
