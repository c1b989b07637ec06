"""The multitask model: one encoder, and for each task a pooling, a dropout and a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainable.bert import MinBert
from trainable.corpus import Batch, Pair
from trainable.dropout import Dropout
from trainable.encoder import Pretrained
from trainable.losses import takes_logits
from trainable.pooling import SequenceStates
from trainable.run_config import PairTask, RunConfig, SingleTask
from trainable.tasks import TASK_NAMES, TASKS, TaskName

_HEAD_SCALE = 0.02  # BERT's initialisation


class TaskModule(nn.Module):
    """From the encoder's states to the outputs of one task."""

    def __init__(self, pooling: nn.Module, dropout: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = dropout
        self.head = head

    def forward(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return (n_examples, n_outputs)."""
        return self.head(self.dropout(self.pooling(states, rows)))  # type: ignore[no-any-return]


class MultitaskBert(nn.Module):
    """The encoder and the three tasks' modules.

    Args:
        encoder: Shared by all tasks.
        tasks: Task -> module.
    """

    def __init__(self, encoder: MinBert, tasks: dict[TaskName, TaskModule]) -> None:
        super().__init__()
        self.encoder = encoder
        self.tasks = nn.ModuleDict({str(task): module for task, module in tasks.items()})

    def forward(self, batch: Batch) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples, n_outputs) for the tasks of the batch, in one pass."""
        hidden = self.encoder(batch.packed)
        states = SequenceStates(hidden, batch.packed, self.encoder.pooler)
        return {task: self.tasks[task](states, rows) for task, rows in batch.rows.items()}


def task_config(config: RunConfig, task: TaskName) -> SingleTask | PairTask:
    """Return the part of a RunConfig that belongs to a task."""
    own: dict[TaskName, SingleTask | PairTask]
    own = {"sst": config.sst, "para": config.para, "sts": config.sts}
    return own[task]


def pair_encodings(config: RunConfig) -> dict[TaskName, Pair]:
    """Return task -> pair encoding, None for a task with one sentence."""
    return {"sst": None, "para": config.para.pair, "sts": config.sts.pair}


def build_model(
    config: RunConfig, pretrained: Pretrained, device: torch.device, generator: torch.Generator
) -> MultitaskBert:
    """Build the model of a run; the only place where models are made.

    Args:
        config: The run.
        pretrained: Its encoder; its tensors are copied, never shared.
        device: Where the model lives.
        generator: On `device`; draws the heads' weights here and dropout's bits for ever after.
    """
    with torch.device("meta"):
        encoder = MinBert(
            pretrained.shape,
            Dropout(config.encoder.dropout, generator),
            Dropout(config.encoder.attention_dropout, generator),
        )
    copies = {name: t.to(device, copy=True) for name, t in pretrained.parameters.items()}
    encoder.load_state_dict(copies, assign=True)
    for parameter in encoder.parameters():
        parameter.requires_grad_()
    width = pretrained.shape.hidden_size
    tasks = {task: _task_module(config, task, width, generator) for task in TASK_NAMES}
    model = MultitaskBert(encoder, tasks)
    for module in model.tasks.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    model.to(device)
    for module in model.tasks.modules():
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(0.0, _HEAD_SCALE, generator=generator)
    return model


def _task_module(
    config: RunConfig, task: TaskName, width: int, generator: torch.Generator
) -> TaskModule:
    own = task_config(config, task)
    n_classes = TASKS[task].n_classes
    if isinstance(own, PairTask):
        head = own.pair.build(width, takes_logits(own.loss), generator)
    else:
        assert n_classes is not None, "a task with one sentence is a classification"
        head = own.head.build(width, n_classes, generator)
    return TaskModule(own.pooling.build(), Dropout(own.dropout, generator), head)
