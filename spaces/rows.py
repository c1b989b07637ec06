"""A space of named configurations: rows of the ledger, or an ablation, run as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna

from spaces.walk import Param
from trainable.component import Choice, IntRange, Value
from trainable.run_config import RunConfig


@dataclass(frozen=True)
class RowSpace:
    """Named configurations, each with several seeds.

    Attributes:
        name: For people.
        base: Gives data, encoder and budget of all of them.
        rows: Name -> configuration.
        repeats: Runs of each; their seeds are those of the configuration, that plus 1, ...
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
        row = self.rows[trial.suggest_categorical("row", tuple(self.rows))]
        repeat = trial.suggest_int("repeat", 0, self.repeats - 1)
        return row.model_copy(update={"seed": row.seed + repeat})

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        """The form that Ray's OptunaSearch calls: the RunConfig goes along beside the params."""
        return {"run_config": self.suggest(trial).to_dict()}
