"""Candidates for a suggestion, and the expected improvement of each on the incumbent.

Source: Jones et al. 1998, Efficient Global Optimization (expected improvement); Ament et al. 2023,
Unexpected Improvements to Expected Improvement (arXiv:2310.20708), for its logarithm, which
still orders candidates whose improvement rounds to 0. How candidates are drawn is our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from search.searchers.base import Params
from search.searchers.gp.encoding import Points, SpaceEncoding
from search.searchers.gp.per_task import ScoreModel

_Floats = NDArray[np.float64]

_N_ANYWHERE = 75
_WIDTHS, _N_NEAR = (0.05, 0.1, 0.2), 4  # standard deviations of moves, in ranges; moves of each
_REFINEMENTS, _N_REFINED = (0.1, 0.05, 0.02), 15  # the same, from the best candidate so far
_DENSITY = 1 / math.sqrt(2 * math.pi)  # of the standard normal distribution at its mean


@dataclass(frozen=True)
class Incumbent:
    """What a suggestion should improve on.

    Attributes:
        model: Model of the score of a full run.
        target: Score to improve on.
        top: Points of the trials with the highest predicted means.
    """

    model: ScoreModel
    target: float
    top: Points


def candidates(
    encoding: SpaceEncoding, incumbent: Incumbent, draw: np.random.Generator
) -> Iterator[Params]:
    """Yield some hundred candidates, the one with the greatest expected improvement first.

    They come from the whole space, from near the top trials, and then from near the best candidate
    so far.

    Args:
        encoding: Encoding of the space.
        incumbent: What to improve on.
        draw: Source of the random numbers.
    """
    top = _repeated(incumbent.top, _N_NEAR)
    found = _together(
        encoding.anywhere(_N_ANYWHERE, draw), *(encoding.near(top, w, draw) for w in _WIDTHS)
    )
    gain = gains(encoding, incumbent, found)
    for width in _REFINEMENTS:
        best = int(gain.argmax())
        leader = found[0][[best]], found[1][[best]]
        more = encoding.near(_repeated(leader, _N_REFINED), width, draw)
        found = _together(found, more)
        gain = np.concatenate([gain, gains(encoding, incumbent, more)])
    for row in np.argsort(-gain, kind="stable"):
        yield encoding.params(found, int(row))


def gains(encoding: SpaceEncoding, incumbent: Incumbent, points: Points) -> _Floats:
    """Return the logarithm of the expected improvement of each point: (points,)."""
    mean, sd = incumbent.model.predict(encoding.features(points))
    return log_expected_improvement(mean, sd, incumbent.target)


def log_expected_improvement(mean: _Floats, sd: _Floats, best: float) -> _Floats:
    """Return the logarithm of the expected improvement of normally distributed values: (points,).

    Args:
        mean: (points,) means.
        sd: (points,) standard deviations, greater than 0.
        best: Score to improve on.
    """
    z = np.maximum((mean - best) / sd, -1e6)
    high, low = np.maximum(z, -1.0), np.minimum(z, -1.0)
    near = np.log(_DENSITY * np.exp(-0.5 * high**2) + high * ndtr(high))
    # For smaller z the formula above would subtract two tiny, almost equal numbers.
    ratio = 1 + low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))
    far = math.log(_DENSITY) - 0.5 * low**2 + np.log(np.maximum(ratio, 1e-13))
    return np.asarray(np.log(sd) + np.where(z < -1.0, far, near))


def _repeated(points: Points, n: int) -> Points:
    numbers, choices = points
    return np.repeat(numbers, n, axis=0), np.repeat(choices, n, axis=0)


def _together(*points: Points) -> Points:
    numbers, choices = zip(*points, strict=True)
    return np.vstack(numbers), np.vstack(choices)
