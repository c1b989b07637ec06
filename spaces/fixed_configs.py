"""A space of named configurations that are run as they are: published rows, or an ablation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import optuna

from spaces.distributions import suggest_value
from spaces.params import Param, value_of
from trainable.component import Choice, IntRange, Value
from trainable.errors import InputError, did_you_mean
from trainable.run_config import RunConfig


@dataclass(frozen=True)
class RowSpace:
    """Named configurations, each with several seeds.

    Attributes:
        name: What `--space` calls it.
        base: Has the data, the encoder and the budget of all configurations.
        rows: Name -> configuration.
        repeats: Runs of each configuration. The first has the seed of the configuration, the second
            that plus 1, and so on.
    """

    name: str
    base: RunConfig
    rows: dict[str, RunConfig]
    repeats: int

    def points(self) -> list[dict[str, Value]]:
        """Return the params of every run: each row once before any is repeated."""
        return [{"row": name, "repeat": n} for n in range(self.repeats) for name in self.rows]

    def params(self) -> tuple[Param, ...]:
        """Return the two params: which row, and which repeat."""
        return (
            Param("row", Choice(tuple(self.rows)), ()),
            Param("repeat", IntRange(0, self.repeats - 1), ()),
        )

    def suggest(self, trial: optuna.trial.BaseTrial) -> RunConfig:
        """Ask an Optuna trial for row and repeat, and return the configuration."""
        return self.config_of(
            {p.name: suggest_value(trial, p.name, p.domain) for p in self.params()}
        )

    def config_of(self, params: Mapping[str, Value]) -> RunConfig:
        """Return the configuration of a row, with the seed of a repeat.

        Raises:
            KeyError: The row or the repeat is missing.
            ValueError: There is no such row or repeat.
        """
        row, repeat = (value_of(params, own.name, own.domain) for own in self.params())
        config = self.rows[str(row)]
        return config.model_copy(update={"seed": config.seed + int(repeat)})

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return `{"run_config": ...}`, which Ray's OptunaSearch adds to the params."""
        return {"run_config": self.suggest(trial).to_dict()}


def matching(names: Iterable[str], patterns: str) -> list[str]:
    """Return the names of rows that match a pattern, in the order of the names.

    Args:
        names: Of all rows.
        patterns: Patterns as in the shell, with commas between them: `one-size/*,leave/*`.

    Raises:
        InputError: A pattern matches nothing.
    """
    known = list(names)
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = did_you_mean(pattern, known)
            families = ", ".join(dict.fromkeys(f"{name.split('/')[0]}/*" for name in known))
            raise InputError(f"no row matches {pattern!r}; there are {families}{near}")
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in wanted)]
