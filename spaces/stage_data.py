"""Give the stages before the tasks the text, the NLI examples and the budget of a search."""

from __future__ import annotations

from typing import Any

from trainable.component import Component
from trainable.data.nli import NliSource
from trainable.data.pretraining_text import TextSource
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask, NliAuxiliary


def with_corpora(
    config: RunConfig, text: tuple[TextSource, ...] | None, nli: NliSource | None
) -> RunConfig:
    """Return a RunConfig in which the stages that it has read other corpora.

    Args:
        config: The configuration to change.
        text: Text of further pretraining; None keeps it.
        nli: Examples of inference, in its own stage and in the multitask one; None keeps them.
    """
    changes: dict[str, Any] = {}
    if text is not None and config.further_pretraining.kind != "none":
        changes["further_pretraining"] = _replace(config.further_pretraining, sources=text)
    if nli is not None and config.nli.kind != "none":
        changes["nli"] = _replace(config.nli, source=nli)
    stage = config.multitask
    if nli is not None and stage is not None and isinstance(stage.auxiliary, NliAuxiliary):
        changes["multitask"] = _replace(stage, auxiliary=_replace(stage.auxiliary, source=nli))
    return config.model_copy(update=changes)


def with_stage_budgets(config: RunConfig, like: Multitask | None) -> RunConfig:
    """Return a RunConfig whose stages before the tasks have the budget of a multitask stage.

    Args:
        config: The configuration to change.
        like: Gives budget and precision; None keeps them.
    """
    if like is None:
        return config
    changes = {
        slot: _replace(stage, budget_tokens=like.budget_tokens, precision=like.precision)
        for slot, stage in (
            ("further_pretraining", config.further_pretraining),
            ("nli", config.nli),
        )
        if stage.kind != "none"
    }
    return config.model_copy(update=changes)


def _replace(component: Component, **fields: Any) -> Component:
    return component.model_copy(update=fields)
