"""The configuration of a run of which nothing is said but the encoder and the data.

It is what a search begins with and what `python -m trainable --example` prints. What it says of a
task follows from the task's kind (`trainable.task_config`). tests/benchmarks/README.md says by
which runs the defaults were chosen.
"""

from __future__ import annotations

import math
from typing import Any

from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.sources import DataSource
from trainable.model.bert import BertShape
from trainable.model.encoder import TINY, EncoderConfig, find_folder
from trainable.model.heads import MlpHead
from trainable.model.pairs import NumberCosine, SiamesePair
from trainable.model.pooling import AttentionPooling
from trainable.model.scalings import LearnedScaling
from trainable.model.weights import read_shape
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import TaskConfig, default_config
from trainable.tasks import Task

# The encoder with which the default learning rate was measured, MiniLM.
_WIDTH, _DEPTH = 384, 6


def default_run(
    encoder: EncoderConfig,
    data: DataSource,
    seed: int = 0,
    stage: Multitask = Multitask(),  # noqa: B008, it is frozen
    shape: BertShape | None = None,
) -> RunConfig:
    """Return sound defaults for an encoder and data.

    Args:
        encoder: Which encoder. For `tiny` its dropout becomes 0.
        data: Which data.
        seed: Seed of the run.
        stage: Budget, units and precision. For `tiny`, other learning rates and another batch order
            replace those of the stage; a single task is in turn at every step.
        shape: Sizes of the encoder, from which its learning rate follows (`default_lr`); without
            them it is the stage's.
    """
    if encoder.source != TINY:
        if shape is not None:
            lr = {"lr": default_lr(shape)}
            own = stage.optimization.model_copy(update=lr)
            stage = stage.model_copy(update={"optimization": own})
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


def default_lr(shape: BertShape) -> float:
    """Return the learning rate that a pretrained encoder has by default, of two digits.

    It is 1e-4 for MiniLM (384 wide, 6 layers), where it was measured, and lower for wider or deeper
    encoders: 5e-5 for DistilBERT, 3.5e-5 for BERT base, 1.9e-5 for BERT large.

    Source: with Adam, rates fall as 1 / width (Yang et al. 2022, arXiv:2203.03466, Table 3) and as
    1 / sqrt(depth) (Yang et al. 2023, arXiv:2310.02244). Deviation: smaller encoders than MiniLM
    have its rate, and all tensors of an encoder have one rate.
    """
    ratio = _WIDTH / shape.hidden_size * math.sqrt(_DEPTH / shape.num_hidden_layers)
    return float(f"{Optimization().lr * min(1.0, ratio):.1e}")


def shape_of(encoder: EncoderConfig) -> BertShape | None:
    """Return the sizes of a pretrained encoder, None for `tiny`; a Hub id may be downloaded.

    Raises:
        InputError: The encoder cannot be had, or is of an unknown architecture.
    """
    if encoder.source == TINY:
        return None
    return read_shape(find_folder(encoder.source, encoder.revision))


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
