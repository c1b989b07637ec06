"""What every part of a RunConfig is made of: a frozen model whose fields carry search ranges.

A component (a pooling, a head, a batch order, ...) is a small frozen model with `kind`, its own
hyperparameters, and beside each hyperparameter the range in which a search may vary it. A family of
components is a discriminated union. The ranges are plain metadata: nothing here knows Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class FloatRange:
    """Real numbers in [low, high], uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class IntRange:
    """Whole numbers low, low + 1, ..., high."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low} .. {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of a few values: strings, numbers or booleans."""

    values: tuple[str | int | float | bool, ...]

    def __str__(self) -> str:
        return " | ".join(str(value) for value in self.values)


Domain = FloatRange | IntRange | Choice


class Component(BaseModel):
    """A frozen piece of configuration; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
