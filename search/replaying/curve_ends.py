"""Draw the ends of learning curves that were stopped early, from those that were not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.log.trial import TrialRecord

_NEAREST = 3  # full runs, of which one gives the shape of an end
_MOST = 1.0  # no metric is larger

Floats = NDArray[np.float64]


class CurveEnds:
    """Draws how stopped trials would have gone on: multiple imputation from the full runs.

    A rung stops a trial by its score, so that among trials with equal scores it does not matter
    whether one was stopped. An end is that of a full run that had nearly the same score at the unit
    after which the trial was stopped. What is left between the two scores grows or shrinks
    on the way to the end, as it does among the full runs; how far is drawn from what they allow,
    since a few of them hardly tell. Each draw resamples the full runs first.

    Source: Rubin & Schenker 1986 (approximate Bayesian bootstrap); predictive mean matching
    (Little 1988). The slope of the last score in an earlier one is drawn from its posterior under a
    normal prior around 1, at which a gap stays as it is, with a deviation of 1.

    Args:
        trials: All trials of a search.
        units: Units of a full run, at least 1.
    """

    def __init__(self, trials: Sequence[TrialRecord], units: int) -> None:
        self._units = units
        self.full = np.array([own for own in map(self._whole, trials) if own], float)
        self._known = {
            t.number: [t.score_at(unit) for unit in range(1, t.units + 1)] for t in trials
        }
        self._cut = [
            t.number
            for t in trials
            if t.status != "failed" and t.units < units and math.isfinite(t.score) and t.units
        ]

    def _whole(self, trial: TrialRecord) -> list[float]:
        scores = [trial.score_at(unit) for unit in range(1, self._units + 1)]
        return scores if all(map(math.isfinite, scores)) and trial.status != "failed" else []

    @property
    def n_drawn(self) -> int:
        """How many trials' ends have to be drawn."""
        return len(self._cut)

    def draw(self, draw: np.random.Generator) -> dict[int, list[float]]:
        """Return trial number -> score after each unit; that of a failed trial ends early."""
        donors = self.full[draw.integers(len(self.full), size=len(self.full))]
        noise = _noise(self.full)
        slopes: dict[int, float] = {}
        found = dict(self._known)
        for number in self._cut:
            own = self._known[number]
            unit = len(own)
            if unit not in slopes:
                slopes[unit] = _slope(donors[:, unit - 1], donors[:, -1], draw)
            near = np.argsort(np.abs(donors[:, unit - 1] - own[-1]), kind="stable")[:_NEAREST]
            donor = donors[draw.choice(near)]
            gap = own[-1] - donor[unit - 1]
            way = np.arange(1, self._units - unit + 1) / (self._units - unit)
            end = donor[unit:] + gap * (1 + (slopes[unit] - 1) * way)
            end = np.minimum(end + noise * draw.standard_normal(len(end)), _MOST)
            found[number] = [*own, *end.tolist()]
        return found


def _slope(early: Floats, last: Floats, draw: np.random.Generator) -> float:
    """Draw how much of a difference after a unit is one after a full run."""
    x, y = early - early.mean(), last - last.mean()
    spread, both = float(x @ x), float(x @ y)
    if len(x) < 3 or spread == 0:
        return float(draw.normal(1.0, 1.0))
    rest = y - both / spread * x
    variance = max(float(rest @ rest) / (len(x) - 2), 1e-8)
    precision = spread / variance + 1.0
    return float(draw.normal((both / variance + 1.0) / precision, precision**-0.5))


def _noise(full: Floats) -> float:
    """Return the deviation of single scores from smooth curves, from their second differences."""
    if full.shape[1] < 3:
        return 0.0
    return float(np.median(np.abs(np.diff(full, 2, axis=1))) / 0.6745 / 6**0.5)
