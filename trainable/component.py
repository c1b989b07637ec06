"""What every part of a RunConfig is made of: a frozen model whose fields carry search ranges.

A component (a pooling, a head, a batch order, ...) is a small frozen model with `kind`, its own
hyperparameters, and beside each hyperparameter the range in which a search may vary it. A family of
components is a discriminated union. The ranges are plain metadata: nothing here knows Optuna.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from trainable.tasks import Kind, Task, Tasks

Value = str | int | float | bool
"""A value of a hyperparameter."""


@dataclass(frozen=True)
class FloatRange:
    """Real numbers in [low, high], uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False

    def contains(self, value: Value) -> bool:
        """Whether low <= value <= high; False for a string and for NaN."""
        return not isinstance(value, str) and self.low <= value <= self.high

    def draw(self, generator: random.Random) -> float:
        """Draw a number at random, uniformly or uniformly in the logarithm."""
        if not self.log:
            return generator.uniform(self.low, self.high)
        value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, self.low), self.high)  # exp(log(x)) may be a rounding away from x

    def to_json(self) -> dict[str, Any]:
        """Return `{"type": "float", "low": 1e-5, "high": 1e-3, "log": true}`."""
        return {"type": "float", "low": self.low, "high": self.high, "log": self.log}

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class IntRange:
    """Whole numbers low, low + 1, ..., high."""

    low: int
    high: int

    def contains(self, value: Value) -> bool:
        """Whether a value is one of these numbers; 2.0 counts as 2, and 2.5 is none of them."""
        return not isinstance(value, str) and self.low <= value <= self.high and value % 1 == 0

    def draw(self, generator: random.Random) -> int:
        """Draw a number at random; all are equally likely."""
        return generator.randint(self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """Return `{"type": "int", "low": 1, "high": 4}`."""
        return {"type": "int", "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.low} .. {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of a few values: strings, numbers or booleans."""

    values: tuple[Value, ...]

    def contains(self, value: Value) -> bool:
        """Whether a value equals one of these."""
        return value in self.values

    def draw(self, generator: random.Random) -> Value:
        """Draw a value at random; all are equally likely."""
        return generator.choice(self.values)

    def to_json(self) -> dict[str, Any]:
        """Return `{"type": "categorical", "values": ["cls", "mean"]}`."""
        return {"type": "categorical", "values": list(self.values)}

    def __str__(self) -> str:
        return " | ".join(str(value) for value in self.values)


Domain = FloatRange | IntRange | Choice


def domain_from_json(fields: dict[str, Any]) -> Domain:
    """Return the range whose `to_json` these fields are; other keys than its own are not read.

    Raises:
        ValueError: The type is none of `float`, `int` and `categorical`.
    """
    if fields["type"] == "float":
        return FloatRange(fields["low"], fields["high"], fields["log"])
    if fields["type"] == "int":
        return IntRange(fields["low"], fields["high"])
    if fields["type"] == "categorical":
        return Choice(tuple(fields["values"]))
    raise ValueError(f"range of type {fields['type']!r}: known are float, int and categorical")


@dataclass(frozen=True)
class PriorSpread:
    """Beside a range of numbers: how far from the default an expert looks first.

    Attributes:
        share: Standard deviation around the default, as a share of the range on its own scale,
            greater than 0.
    """

    share: float = 0.12


@dataclass(frozen=True)
class PriorWeights:
    """Beside a choice or a family: how often an expert tries each value or member first.

    The default is tried more often than its weight says; see `spaces.priors`.

    Attributes:
        of: Value or kind -> weight, at least 0; what is not named has 1.
    """

    of: Mapping[Value, float] = field(hash=False)


@dataclass(frozen=True)
class Needs:
    """How many tasks a component or a field needs to make a difference.

    A search does not offer it to a run with fewer.

    Attributes:
        tasks: Of any kind.
        pairs: With two sentences.
    """

    tasks: int = 1
    pairs: int = 0

    def met_by(self, tasks: Tasks) -> bool:
        """Whether there are as many."""
        if len(tasks) < self.tasks:
            return False
        return not self.pairs or sum(task.is_pair for task in tasks.values()) >= self.pairs


@dataclass(frozen=True)
class PerTask:
    """Beside a field `dict[str, float]`: it holds a number for each task, by name.

    Each number is a param of its own, named by the prefix and the task. RunConfig fills in what is
    missing.

    Attributes:
        domain: Range of each number in a search.
        prefix: `log_` gives the param `log_x` for the task x.
        default: Value of a task whose kind is not in `by_kind`.
        by_kind: Kind of task -> value.
        but_first: Whether the first task has none, because only ratios to it mean something.
    """

    domain: FloatRange
    prefix: str = ""
    default: float = 1.0
    by_kind: Mapping[Kind, float] = field(default_factory=dict)
    but_first: bool = False

    def tasks(self, tasks: Tasks) -> list[Task]:
        """Return the tasks that have a number."""
        return list(tasks.values())[1 if self.but_first else 0 :]

    def default_of(self, task: Task) -> float:
        """Return the number of a task where none is given."""
        return self.by_kind.get(task.kind, self.default)


@dataclass(frozen=True)
class TaskSubset:
    """Beside a field `str`: some of the run's tasks, as `a+b`; `all` becomes their names."""


class Component(BaseModel):
    """A frozen piece of configuration; unknown keys are refused.

    Attributes:
        needs: What a run must have for a search to offer the component.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    needs: ClassVar[Needs] = Needs()
