"""How scores of random configurations are distributed, and how to make others be so, too."""

from __future__ import annotations

import numpy as np
from scipy import stats

_TAIL = 0.8  # quantile above which scores are those of a distribution, not those recorded
_N_GRID, _REACH = 800, 8.0  # points, and how many standard deviations beyond all scores they go


class Marginal:
    """A growing function by which scores of a landscape become distributed like recorded ones.

    Made up as a sum, scores have no ceiling; recorded ones do: the better, the less is to be won.
    Above the best fifth of the recorded scores a generalized Pareto distribution goes on, of which
    a negative shape says how high scores can get.

    Source: Pickands 1975, Statistical Inference Using Extreme Order Statistics, for the tail.

    Args:
        means: (n_draws,) of what random configurations score on the landscapes.
        sd: Standard deviation around them, over landscapes.
        recorded: (n_trials,) scores of random configurations.
    """

    def __init__(self, means: np.ndarray, sd: float, recorded: np.ndarray) -> None:
        sd = max(sd, 1e-6)
        reach = _REACH * sd
        self._grid = np.linspace(means.min() - reach, means.max() + reach, _N_GRID)
        below = stats.norm.cdf(self._grid[:, None], means, sd).mean(axis=1)
        self._scores = _quantiles(recorded, below)

    def __call__(self, score: float) -> float:
        """Return what a score of a landscape becomes."""
        return float(np.interp(score, self._grid, self._scores))


def _quantiles(recorded: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the scores below which there are these shares, in [0, 1]."""
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
