"""One published result: its scores, and the configuration behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ValidationError

from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.component import Component
from trainable.data.nli import NliSource
from trainable.data.pretraining_text import TextSource
from trainable.errors import InputError
from trainable.model.encoder import TINY
from trainable.partial_config import merged
from trainable.run_config import RunConfig, explain
from trainable.tasks import COURSE

Differences = dict[str, Any]
ComponentType = TypeVar("ComponentType", bound=Component)


@dataclass(frozen=True)
class Row:
    """One published result.

    Attributes:
        id: `paper/row`.
        paper: Title of the paper.
        label: What the paper's table calls it.
        method: What was done, in a sentence.
        table: Number of the table.
        split: Split of the published scores.
        scores: `sst_acc`, `para_acc`, `sts_corr`, and `overall` where it is published.
        differences: How its configuration differs from what `unsaid.yaml` says; what it says of a
            task stands under the task's name.
        epochs: Passes over the train sets in the multitask stage (`sst`, `para`, `sts`), over the
            text of further pretraining (`text`) and over the examples of the NLI stage (`nli`), as
            far as the paper says.
        why_not: The reason why it cannot be run, or None.
        notes: Where the paper says too little or contradicts itself, and how it is read here.
    """

    id: str
    paper: str
    label: str
    method: str
    table: int
    split: Literal["dev", "test"]
    scores: dict[str, float]
    differences: Differences
    epochs: dict[str, float]
    why_not: str | None
    notes: tuple[str, ...]

    def config(
        self,
        base: RunConfig,
        text: tuple[TextSource, ...] | None = None,
        nli: NliSource | None = None,
    ) -> RunConfig:
        """Return the row's configuration.

        Args:
            base: Gives data, encoder, seed, budget, units and precision; a stage before the tasks
                has the same budget. An encoder from scratch takes its learning rates from here,
                too: at those of a pretrained one it would not learn.
            text: Text of further pretraining, in place of what the paper read.
            nli: Examples of inference, in place of what the paper read.

        Raises:
            InputError: The row cannot be run.
        """
        if self.why_not:
            raise InputError(f"row {self.id} cannot be run: {self.why_not}")
        if base.data.table != COURSE:
            raise InputError(
                f"row {self.id} is of the tasks {', '.join(COURSE)}; the data have "
                f"{', '.join(base.data.table)}"
            )
        own = {name: change for name, change in self.differences.items() if name in COURSE}
        others = {name: change for name, change in self.differences.items() if name not in COURSE}
        try:
            values = merged(_unsaid(), {**others, "tasks": own})
            # From JSON, so that lists may be tuples; strict, so that "3" is no number.
            config = RunConfig.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise InputError(f"row {self.id}: {explain(error)}") from error
        return with_corpora(_for_search(config, base), text, nli)


@cache
def _unsaid() -> dict[str, Any]:
    """Return the whole configuration of a row that says nothing."""
    text = (files("spaces") / "unsaid.yaml").read_text(encoding="utf-8")
    unsaid: dict[str, Any] = merged(RunConfig().to_dict(), yaml.safe_load(text))
    return unsaid


def _for_search(config: RunConfig, base: RunConfig) -> RunConfig:
    """Return a row's configuration with data, encoder, seed and budget of a search."""
    changes: dict[str, Any] = {
        "seed": base.seed,
        "data": base.data,
        "objective": base.objective,
        "encoder": _with(
            config.encoder,
            source=base.encoder.source,
            revision=base.encoder.revision,
            attention_dropout=base.encoder.attention_dropout,
        ),
    }
    if config.multitask is not None and base.multitask is not None:
        optimization = config.multitask.optimization
        if base.encoder.source == TINY:
            rates = base.multitask.optimization
            optimization = _with(optimization, lr=rates.lr, head_lr=rates.head_lr)
        changes["multitask"] = _with(
            config.multitask,
            budget_tokens=base.multitask.budget_tokens,
            units=base.multitask.units,
            precision=base.multitask.precision,
            optimization=optimization,
        )
    return with_stage_budgets(config.model_copy(update=changes), base.multitask)


def _with(component: ComponentType, **fields: Any) -> ComponentType:
    return component.model_copy(update=fields)
