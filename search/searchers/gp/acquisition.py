"""Candidates for a suggestion, and by how much each is expected to improve on the best.

Source: Jones et al. 1998, Efficient Global Optimization (expected improvement); Ament et al. 2023,
Unexpected Improvements to Expected Improvement (arXiv:2310.20708), for its logarithm, which keeps
an order where improvement itself rounds to 0. Where candidates come from is ours.
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
_WIDTHS, _N_NEAR = (0.05, 0.1, 0.2), 4  # of moves away from the top, in ranges; of each so many
_REFINEMENTS, _N_REFINED = (0.1, 0.05, 0.02), 15  # the same, then, from the best candidate
_DENSITY = 1 / math.sqrt(2 * math.pi)  # of a normal distribution at its mean


@dataclass(frozen=True)
class Goal:
    """What is to be improved on.

    Attributes:
        model: What is known.
        target: What is to be improved on.
        top: The trials of the highest means.
    """

    model: ScoreModel
    target: float
    top: Points


def candidates(encoding: SpaceEncoding, goal: Goal, draw: np.random.Generator) -> Iterator[Params]:
    """Yield some hundred candidates, that which promises most first.

    They are from the whole space, from near the top, and then from near the best of them all.

    Args:
        encoding: Of the space.
        goal: What to improve on.
        draw: Where they come from.
    """
    top = _repeated(goal.top, _N_NEAR)
    found = _together(
        encoding.anywhere(_N_ANYWHERE, draw), *(encoding.near(top, w, draw) for w in _WIDTHS)
    )
    gain = _gain(encoding, goal, found)
    for width in _REFINEMENTS:
        best = int(gain.argmax())
        leader = found[0][[best]], found[1][[best]]
        more = encoding.near(_repeated(leader, _N_REFINED), width, draw)
        found = _together(found, more)
        gain = np.concatenate([gain, _gain(encoding, goal, more)])
    for row in np.argsort(-gain):
        yield encoding.params(found, int(row))


def _gain(encoding: SpaceEncoding, goal: Goal, points: Points) -> _Floats:
    mean, sd = goal.model.predict(encoding.features(points))
    return log_expected_improvement(mean, sd, goal.target)


def log_expected_improvement(mean: _Floats, sd: _Floats, best: float) -> _Floats:
    """Return the logarithm of what normally distributed values are above the best, on average.

    Args:
        mean: (points,).
        sd: (points,) greater than 0.
        best: What to improve on.
    """
    z = np.maximum((mean - best) / sd, -1e6)
    high, low = np.maximum(z, -1.0), np.minimum(z, -1.0)
    near = np.log(_DENSITY * np.exp(-0.5 * high**2) + high * ndtr(high))
    # Below, this would be a difference of two tiny numbers.
    ratio = 1 + low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))
    far = math.log(_DENSITY) - 0.5 * low**2 + np.log(np.maximum(ratio, 1e-13))
    return np.asarray(np.log(sd) + np.where(z < -1.0, far, near))


def _repeated(points: Points, n: int) -> Points:
    numbers, choices = points
    return np.repeat(numbers, n, axis=0), np.repeat(choices, n, axis=0)


def _together(*points: Points) -> Points:
    numbers, choices = zip(*points, strict=True)
    return np.vstack(numbers), np.vstack(choices)
