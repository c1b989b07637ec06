"""Density of params that exist together, from trials: one kernel for each, and a wide prior.

Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Watanabe 2023,
Tree-Structured Parzen Estimator (arXiv:2304.11127). Kernels, widths and weights are those of
Optuna 5, in whole arrays: a space of 150 params takes a quarter of its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from search.proposals import Params
from spaces.walk import Param
from trainable.component import Choice, FloatRange, IntRange, Value

_N_CANDIDATES = 24
_N_NEW = 25  # so many of the newest trials weigh 1; the older, the less
_MAX_KERNELS = 100.0  # a kernel is at least as wide as the range over so many
_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
Points = tuple[_Floats, _Ints]  # numbers: (points, numbers), choices: (points, choices)


class Group:
    """Params that exist under the same conditions, as columns of numbers and of choices.

    Args:
        params: At least one.
    """

    def __init__(self, params: Sequence[Param]) -> None:
        self._first = params[0].name
        self._numbers = [
            (param.name, param.domain) for param in params if not isinstance(param.domain, Choice)
        ]
        self._choices = [
            (param.name, param.domain.values)
            for param in params
            if isinstance(param.domain, Choice)
        ]
        self._places = [(name, {v: k for k, v in enumerate(vs)}) for name, vs in self._choices]
        self.n_values = np.array([len(values) for _, values in self._choices], dtype=np.int64)
        domains = [domain for _, domain in self._numbers]
        self._is_log = np.array([isinstance(d, FloatRange) and d.log for d in domains], dtype=bool)
        # A whole number stands for all numbers that round to it.
        self.half = np.array([0.5 * isinstance(d, IntRange) for d in domains])
        self.low = self._scaled(np.array([float(d.low) for d in domains])) - self.half
        self.high = self._scaled(np.array([float(d.high) for d in domains])) + self.half

    def _scaled(self, numbers: _Floats) -> _Floats:
        scaled = numbers.copy()
        scaled[..., self._is_log] = np.log(numbers[..., self._is_log])
        return scaled

    def points(self, trials: Sequence[Params]) -> Points:
        """Return the trials that have these params: numbers on their scales, places of choices."""
        own = [params for params in trials if self._first in params]
        numbers = [[p[name] for name, _ in self._numbers] for p in own]
        choices = [[place[p[name]] for name, place in self._places] for p in own]
        return (
            self._scaled(np.array(numbers, dtype=float).reshape(len(own), len(self._numbers))),
            np.array(choices, dtype=np.int64).reshape(len(own), len(self._choices)),
        )

    def params(self, numbers: _Floats, choices: _Ints) -> Params:
        """Return one point as params.

        Args:
            numbers: (numbers,) on their scales.
            choices: (choices,) places.
        """
        found: Params = {}
        for (name, domain), is_log, x in zip(
            self._numbers, self._is_log, numbers.tolist(), strict=True
        ):
            value: Value = (
                round(x) if isinstance(domain, IntRange) else float(np.exp(x) if is_log else x)
            )
            found[name] = min(max(value, domain.low), domain.high)  # exp(log(x)) may miss x
        for (name, values), place in zip(self._choices, choices.tolist(), strict=True):
            found[name] = values[place]
        return found


class Parzen:
    """A mixture with one product of kernels for each trial, and one for the prior.

    A number's kernel is a normal distribution cut off at the ends of the range, as wide as the
    greater distance to its two neighbours; a choice's has 1 at its value, and the reciprocal of the
    number of kernels at each. The prior's are as wide as the range.

    Args:
        group: What the columns of `points` are.
        points: Trials, oldest first; may be none.
    """

    def __init__(self, group: Group, points: Points) -> None:
        self._group = group
        numbers, choices = points
        n = len(numbers)
        weights = np.ones(n + 1)
        if n > _N_NEW:
            weights[: n - _N_NEW] = np.linspace(1 / n, 1.0, n - _N_NEW)
        self._weights = weights / weights.sum()  # (kernels,)
        middle, span = (group.low + group.high) / 2, group.high - group.low
        self._mean = np.vstack([numbers, middle])  # (kernels, numbers)
        self._sd = np.vstack([_widths(numbers, group.low, group.high), span])  # (kernels, numbers)
        self._below = ndtr((group.low - self._mean) / self._sd)  # cut off at the lower end
        self._inside = ndtr((group.high - self._mean) / self._sd) - self._below
        self._own = np.vstack([choices, np.full(len(group.n_values), -1)])  # (kernels, choices)
        self._at_each = 1 / (n + 1)  # of the kernel, at every value of a choice
        self._total = (self._own >= 0) + self._at_each * group.n_values  # (kernels, choices)

    def sample(self, n: int, draw: np.random.Generator) -> Points:
        """Draw points.

        Args:
            n: How many.
            draw: Where they come from.
        """
        group = self._group
        kernels = draw.choice(len(self._weights), n, p=self._weights)
        share = self._below[kernels] + draw.random((n, len(group.low))) * self._inside[kernels]
        numbers = self._mean[kernels] + self._sd[kernels] * ndtri(share)  # (n, numbers)
        numbers = np.where(group.half > 0, np.round(numbers), numbers)
        first, last = group.low + group.half, group.high - group.half
        numbers = np.minimum(np.maximum(numbers, first), last)
        own = self._own[kernels]  # (n, choices)
        is_own = (own >= 0) & (draw.random(own.shape) < 1 / self._total[kernels])
        anything = (draw.random(own.shape) * group.n_values).astype(np.int64)
        return numbers, np.where(is_own, own, anything)

    def log_density(self, points: Points) -> _Floats:
        """Return the logarithm of the density, or of the probability of choices: (points,).

        Args:
            points: Where.
        """
        numbers, choices = points
        away = (numbers[:, None, :] - self._mean) / self._sd  # (points, kernels, numbers)
        log = -0.5 * away**2 - np.log(np.sqrt(2 * np.pi) * self._sd)
        whole = self._group.half > 0
        if whole.any():
            half, away = (self._group.half / self._sd)[:, whole], np.abs(away[..., whole])
            with np.errstate(divide="ignore"):  # so far away that nothing is left
                # On this side of the mean a difference of `ndtr` keeps its digits.
                log[..., whole] = np.log(ndtr(half - away) - ndtr(-half - away))
        at_numbers = (log - np.log(self._inside)).sum(axis=-1)  # (points, kernels)
        is_own = choices[:, None, :] == self._own  # (points, kernels, choices)
        at_choices = np.log((is_own + self._at_each) / self._total).sum(axis=-1)
        joint = np.log(self._weights) + at_numbers + at_choices  # (points, kernels)
        return np.asarray(np.logaddexp.reduce(joint, axis=-1))


def best_candidate(
    group: Group, good: Sequence[Params], bad: Sequence[Params], draw: np.random.Generator
) -> Params:
    """Return that of a few draws from the good trials' density which the bad ones' has least of.

    Args:
        group: What to draw.
        good: Params of the best trials, oldest first; those without the group's are left out.
        bad: Params of all others, likewise.
        draw: Where the draws come from.
    """
    density = Parzen(group, group.points(good))
    others = Parzen(group, group.points(bad))
    candidates = density.sample(_N_CANDIDATES, draw)
    gain = density.log_density(candidates) - others.log_density(candidates)
    numbers, choices = candidates
    best = int(np.argmax(gain))
    return group.params(numbers[best], choices[best])


def _widths(numbers: _Floats, low: _Floats, high: _Floats) -> _Floats:
    """Return the standard deviation of each trial's kernel, for each number: as `numbers`."""
    n = len(numbers)
    if not n:
        return numbers
    order = np.argsort(numbers, axis=0), np.arange(len(low))
    edges = np.concatenate([low[None], numbers[order], high[None]])  # (n + 2, numbers)
    gaps = edges[1:] - edges[:-1]
    wider = np.maximum(gaps[:-1], gaps[1:])
    if n > 1:  # the ends of the range are no neighbours
        wider[0], wider[-1] = gaps[1], gaps[-2]
    widths = np.empty_like(numbers)
    widths[order] = wider
    span = high - low
    return np.minimum(np.maximum(widths, span / min(_MAX_KERNELS, n + 2)), span)
