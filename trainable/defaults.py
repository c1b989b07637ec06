"""The configuration of a run of which nothing is said but the encoder and the data.

It is what a search begins with and what `python -m trainable --example` prints. What it says of a
task follows from the task's kind (`trainable.task_config`).
"""

from __future__ import annotations

from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.sources import DataSource
from trainable.model.encoder import TINY, EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask


def default_run(
    encoder: EncoderConfig,
    data: DataSource,
    seed: int = 0,
    stage: Multitask = Multitask(),  # noqa: B008, it is frozen
) -> RunConfig:
    """Return sound defaults for an encoder and data.

    Args:
        encoder: Which encoder.
        data: Which data.
        seed: Seed of the run.
        stage: Budget, units and precision. For `tiny`, other learning rates and another batch order
            replace those of the stage; a single task is in turn at every step.
    """
    if encoder.source == TINY:
        # At the rates of a pretrained encoder it would learn nothing.
        rates = stage.optimization.model_copy(update={"lr": 2e-3, "head_lr": 4e-3})
        order = LockStep() if len(data.table) > 1 else RoundRobin()
        stage = stage.model_copy(update={"optimization": rates, "batch_order": order})
    return RunConfig(seed=seed, data=data, encoder=encoder, multitask=stage)
