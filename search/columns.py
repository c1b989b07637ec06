"""Configurations of a space as arrays: what a model of them reads, and where its candidates come
from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.parzen import Group, Points
from search.proposals import Params, exists
from spaces.walk import Param
from trainable.component import Choice, IntRange

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]
_ALWAYS = (0, -1)  # a condition that holds, whatever is in the first column


class Columns:
    """All params of a space, in arrays.

    In `Points` every row has a value for every param, also for those that do not exist under its
    choices; such values mean nothing, and `features` leaves them out.

    Args:
        params: Those of a space, parents before their children.

    Attributes:
        param_of: (features,) which param each feature is of: its place in `n_params`.
        names: (n_params,) numbers before choices.
        n_params: How many.
    """

    def __init__(self, params: Sequence[Param]) -> None:
        self._params = params
        numbers = [param for param in params if not isinstance(param.domain, Choice)]
        choices = [param for param in params if isinstance(param.domain, Choice)]
        self._group = Group(params)
        self._anything = {param.name: _any_value(param) for param in params}
        self._is_whole = np.array([isinstance(p.domain, IntRange) for p in numbers], dtype=bool)
        self.n_params = len(params)
        self.names = [param.name for param in (*numbers, *choices)]
        n_values = self._group.n_values
        self._first = np.cumsum(n_values) - n_values  # of the features of each choice
        self.param_of = np.concatenate(
            [np.arange(len(numbers)), np.repeat(len(numbers) + np.arange(len(choices)), n_values)]
        )
        conditions = [
            [_condition(choices, parent) for parent in param.parents] or [_ALWAYS]
            for param in (*numbers, *choices)
        ]
        pairs = np.array([pair for own in conditions for pair in own])
        self._column_of, self._place_of = pairs.T
        ends = np.cumsum([len(own) for own in conditions])
        self._start_of = np.concatenate([[0], ends[:-1]])  # of each param's own, among all pairs

    def points(self, trials: Sequence[Params]) -> Points:
        """Return trials as rows."""
        return self._group.points([self._anything | params for params in trials])

    def params(self, points: Points, row: int) -> Params:
        """Return one row as params: those that exist under its choices."""
        numbers, choices = points
        values = self._group.params(numbers[row], choices[row])
        found: Params = {}
        for param in self._params:
            if exists(param, found):
                found[param.name] = values[param.name]
        return found

    def features(self, points: Points) -> _Floats:
        """Return what a kernel measures distances between: (points, features).

        A number is where it lies in its range, in [0, 1]; a choice has a feature for each value, so
        that two different values are at distance 1. Of a param that does not exist, a number is in
        the middle, and all features of a choice are 0: between two rows without it there is no
        distance.
        """
        numbers, choices = points
        there = self._exist(choices)  # (points, params)
        n_numbers = numbers.shape[1]
        unit = (numbers - self._group.low) / (self._group.high - self._group.low)
        unit = np.where(there[:, :n_numbers], unit, 0.5)
        one_hot = np.zeros((len(choices), int(self._group.n_values.sum())))
        rows = np.arange(len(choices))[:, None]
        one_hot[rows, self._first + choices] = math.sqrt(0.5) * there[:, n_numbers:]
        return np.hstack([unit, one_hot])

    def _exist(self, choices: NDArray[np.int64]) -> _Bools:
        """Return which params exist in each row: (points, params), numbers before choices."""
        if not choices.shape[1]:
            return np.ones((len(choices), self.n_params), dtype=bool)
        holds = (choices[:, self._column_of] == self._place_of) | (self._place_of < 0)
        return np.asarray(np.logical_and.reduceat(holds, self._start_of, axis=1))

    def anywhere(self, n: int, draw: np.random.Generator) -> Points:
        """Draw rows from the whole space.

        Args:
            n: How many.
            draw: Where they come from.
        """
        low, high = self._group.low, self._group.high
        numbers = low + draw.random((n, len(low))) * (high - low)
        places = draw.random((n, len(self._group.n_values))) * self._group.n_values
        return self._inside(numbers), places.astype(np.int64)

    def near(self, points: Points, width: float, draw: np.random.Generator) -> Points:
        """Draw a row near each.

        Half of the numbers move, and two choices at the average; what did not exist is anything.

        Args:
            points: Rows.
            width: Standard deviation of the moves of numbers, in ranges.
            draw: Where they come from.
        """
        numbers, choices = points
        other, others = self.anywhere(len(numbers), draw)
        there = self._exist(choices)
        n_numbers = numbers.shape[1]
        span = self._group.high - self._group.low
        moves = draw.normal(0.0, width, numbers.shape) * (draw.random(numbers.shape) < 0.5)
        near = np.where(there[:, :n_numbers], self._inside(numbers + moves * span), other)
        change = draw.random(choices.shape) < 2.0 / max(8.0, choices.shape[1])
        return near, np.where(there[:, n_numbers:] & ~change, choices, others)

    def _inside(self, numbers: _Floats) -> _Floats:
        """Return numbers of the ranges, and whole ones where the params are."""
        half = self._group.half
        numbers = np.clip(numbers, self._group.low + half, self._group.high - half)
        return np.where(self._is_whole, np.round(numbers), numbers)


def _any_value(param: Param) -> str | int | float | bool:
    domain = param.domain
    return domain.values[0] if isinstance(domain, Choice) else domain.low


def _condition(choices: list[Param], parent: tuple[str, str]) -> tuple[int, int]:
    """Return the column of a choice, and the place of the value that it must have."""
    name, kind = parent
    column = next(k for k, param in enumerate(choices) if param.name == name)
    domain = choices[column].domain
    assert isinstance(domain, Choice)
    return column, domain.values.index(kind)
