"""The configuration of a run of which nothing is said but the encoder and the data.

It is what a search begins with and what `python -m trainable --example` prints. What it says of a
task follows from the task's kind (`trainable.task_config`). tests/benchmarks/README.md says by
which runs the defaults were chosen.
"""

from __future__ import annotations

from typing import Any

from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.sources import DataSource
from trainable.model.encoder import TINY, EncoderConfig
from trainable.model.heads import MlpHead
from trainable.model.pairs import NumberCosine, SiamesePair
from trainable.model.pooling import AttentionPooling
from trainable.model.scalings import LearnedScaling
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import TaskConfig, default_config
from trainable.tasks import Task


def default_run(
    encoder: EncoderConfig,
    data: DataSource,
    seed: int = 0,
    stage: Multitask = Multitask(),  # noqa: B008, it is frozen
) -> RunConfig:
    """Return sound defaults for an encoder and data.

    Args:
        encoder: Which encoder. For `tiny` its dropout becomes 0.
        data: Which data.
        seed: Seed of the run.
        stage: Budget, units and precision. For `tiny`, other learning rates and another batch order
            replace those of the stage; a single task is in turn at every step.
    """
    if encoder.source != TINY:
        return RunConfig(seed=seed, data=data, encoder=encoder, multitask=stage)
    # At the rates of a pretrained encoder it would learn nothing, and dropout slows what it learns.
    rates = stage.optimization.model_copy(update={"lr": 2e-3, "head_lr": 4e-3})
    order = LockStep() if len(data.table) > 1 else RoundRobin()
    return RunConfig(
        seed=seed,
        data=data,
        encoder=encoder.model_copy(update={"dropout": 0.0}),
        tasks={name: _from_scratch(task) for name, task in data.table.items()},
        multitask=stage.model_copy(update={"optimization": rates, "batch_order": order}),
    )


def _from_scratch(task: Task) -> TaskConfig:
    """Return the defaults for a task whose encoder has learned nothing before."""
    changes: dict[str, Any] = {"dropout": 0.0}
    match task.kind:
        case "single_classes" | "single_number":
            changes |= {"pooling": AttentionPooling(), "head": MlpHead()}
        case "pair_decision" | "pair_classes":
            changes |= {"pair": SiamesePair(features="uv_diff_sq", head=MlpHead())}
        case "pair_number":
            changes |= {"pair": NumberCosine(scaling=LearnedScaling())}
    return default_config(task).model_copy(update=changes)
