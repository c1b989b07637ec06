"""Encodes configurations of a space as arrays for a model, and draws candidates for suggestions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.searchers.base import Params
from spaces.params import Param
from trainable.component import Choice, FloatRange, IntRange, Value

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]
Points = tuple[_Floats, _Ints]  # numbers: (points, numbers), choices: (points, choices)
_ALWAYS = (0, -1)  # a condition that always holds


class SpaceEncoding:
    """Encodes the params of a space as arrays of numbers and of choices, and decodes them.

    `Points` hold the logarithm of a number if its range is logarithmic, else the number itself. For
    a choice they hold the index of its value. A row has a value for every param, also for those
    that do not exist under its choices; `features` ignores these values.

    Args:
        params: Params of a space, parents before their children.

    Attributes:
        param_of: (features,) index in `names` of the param that each feature belongs to.
        names: (n_params,) names of the params, numbers before choices.
        n_params: Number of params.
    """

    def __init__(self, params: Sequence[Param]) -> None:
        self._params = params
        choices = [param for param in params if isinstance(param.domain, Choice)]
        self._numbers = [(p.name, p.domain) for p in params if not isinstance(p.domain, Choice)]
        self._choices = [(p.name, p.domain.values) for p in params if isinstance(p.domain, Choice)]
        self._indices = [(name, {v: k for k, v in enumerate(vs)}) for name, vs in self._choices]
        self._n_values = np.array([len(values) for _, values in self._choices], dtype=np.int64)
        domains = [domain for _, domain in self._numbers]
        self._is_log = np.array([isinstance(d, FloatRange) and d.log for d in domains], dtype=bool)
        self._is_whole = np.array([isinstance(d, IntRange) for d in domains], dtype=bool)
        self._half = 0.5 * self._is_whole  # a whole number stands for all that round to it
        self._low = self._scaled(np.array([float(d.low) for d in domains])) - self._half
        self._high = self._scaled(np.array([float(d.high) for d in domains])) + self._half
        self._anything = {param.name: _any_value(param) for param in params}
        self.n_params, n_numbers = len(params), len(domains)
        self.names = [name for name, _ in (*self._numbers, *self._choices)]
        self._first = np.cumsum(self._n_values) - self._n_values  # first feature of each choice
        indices = n_numbers + np.arange(len(choices))  # of the choices in `names`
        self.param_of = np.concatenate([np.arange(n_numbers), np.repeat(indices, self._n_values)])
        parents = {param.name: param.parents for param in params}
        conditions = [
            [_condition(choices, parent) for parent in parents[name]] or [_ALWAYS]
            for name in self.names
        ]
        pairs = np.array([pair for own in conditions for pair in own])
        self._column_of, self._index_of = pairs.T
        ends = np.cumsum([len(own) for own in conditions])
        self._start_of = np.concatenate([[0], ends[:-1]])  # first condition of each param

    def _scaled(self, numbers: _Floats) -> _Floats:
        scaled = numbers.copy()
        scaled[..., self._is_log] = np.log(numbers[..., self._is_log])
        return scaled

    def points(self, trials: Sequence[Params]) -> Points:
        """Encode the params of trials, one row each."""
        rows = [self._anything | params for params in trials]
        numbers = [[row[name] for name, _ in self._numbers] for row in rows]
        choices = [[index[row[name]] for name, index in self._indices] for row in rows]
        return (
            self._scaled(np.array(numbers, dtype=float).reshape(len(rows), len(self._numbers))),
            np.array(choices, dtype=np.int64).reshape(len(rows), len(self._choices)),
        )

    def params(self, points: Points, row: int) -> Params:
        """Decode one row; the result has the params that exist under its choices."""
        numbers, choices = points
        values: Params = {}
        for (name, domain), is_log, x in zip(
            self._numbers, self._is_log, numbers[row].tolist(), strict=True
        ):
            value: Value = (
                round(x) if isinstance(domain, IntRange) else float(np.exp(x) if is_log else x)
            )
            values[name] = min(max(value, domain.low), domain.high)  # exp(log(x)) may miss x
        for (name, own), index in zip(self._choices, choices[row].tolist(), strict=True):
            values[name] = own[index]
        found: Params = {}
        for param in self._params:
            if param.exists_in(found):
                found[param.name] = values[param.name]
        return found

    def features(self, points: Points) -> _Floats:
        """Return the features between which a kernel measures distances: (points, features).

        A number has one feature, its position in its range, in [0, 1]. A choice has a feature for
        each value, so that two different values are at distance 1. If a param does not exist, the
        feature of a number is 0.5 and those of a choice are 0, so that two rows without the param
        do not differ in it.
        """
        numbers, choices = points
        there = self._exist(choices)  # (points, params)
        n_numbers = numbers.shape[1]
        unit = (numbers - self._low) / (self._high - self._low)
        unit = np.where(there[:, :n_numbers], unit, 0.5)
        one_hot = np.zeros((len(choices), int(self._n_values.sum())))
        rows = np.arange(len(choices))[:, None]
        one_hot[rows, self._first + choices] = math.sqrt(0.5) * there[:, n_numbers:]
        return np.hstack([unit, one_hot])

    def _exist(self, choices: NDArray[np.int64]) -> _Bools:
        """Return which params exist in each row: (points, params), numbers before choices."""
        if not choices.shape[1]:
            return np.ones((len(choices), self.n_params), dtype=bool)
        holds = (choices[:, self._column_of] == self._index_of) | (self._index_of < 0)
        return np.asarray(np.logical_and.reduceat(holds, self._start_of, axis=1))

    def anywhere(self, n: int, draw: np.random.Generator) -> Points:
        """Draw rows from the whole space.

        Args:
            n: Number of rows.
            draw: Source of the random numbers.
        """
        low, high = self._low, self._high
        numbers = low + draw.random((n, len(low))) * (high - low)
        indices = draw.random((n, len(self._n_values))) * self._n_values
        return self._inside(numbers), indices.astype(np.int64)

    def near(self, points: Points, width: float, draw: np.random.Generator) -> Points:
        """Draw a row near each row.

        Half of the numbers move, and two choices on average. Params that did not exist get values
        from the whole space.

        Args:
            points: Rows to start from.
            width: Standard deviation of the moves of numbers, in ranges.
            draw: Source of the random numbers.
        """
        numbers, choices = points
        other, others = self.anywhere(len(numbers), draw)
        there = self._exist(choices)
        n_numbers = numbers.shape[1]
        span = self._high - self._low
        moves = draw.normal(0.0, width, numbers.shape) * (draw.random(numbers.shape) < 0.5)
        near = np.where(there[:, :n_numbers], self._inside(numbers + moves * span), other)
        change = draw.random(choices.shape) < 2.0 / max(8.0, choices.shape[1])
        return near, np.where(there[:, n_numbers:] & ~change, choices, others)

    def _inside(self, numbers: _Floats) -> _Floats:
        """Clip numbers to their ranges, and round them if their params are whole."""
        half = self._half
        numbers = np.clip(numbers, self._low + half, self._high - half)
        return np.where(self._is_whole, np.round(numbers), numbers)


def _any_value(param: Param) -> str | int | float | bool:
    domain = param.domain
    return domain.values[0] if isinstance(domain, Choice) else domain.low


def _condition(choices: list[Param], parent: tuple[str, str]) -> tuple[int, int]:
    """Return the column of a choice, and the index of the value that it must have."""
    name, kind = parent
    column = next(k for k, param in enumerate(choices) if param.name == name)
    domain = choices[column].domain
    assert isinstance(domain, Choice)
    return column, domain.values.index(kind)
