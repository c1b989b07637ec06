"""The multitask model: a shared encoder or one per task, and each task's pooling and head."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainable.losses import takes_logits
from trainable.model.bert import MinBert
from trainable.model.dropout import Dropout
from trainable.model.encoder import Pretrained, build_encoder
from trainable.model.pairs import Pair
from trainable.model.pooling import SequenceStates
from trainable.model.weights import Parameters
from trainable.run_config import RunConfig
from trainable.task_config import SingleClasses, SingleNumber, n_outputs, pair_of
from trainable.tasks import NLI, TaskName, Tasks, nli_task
from trainable.training.corpus import Batch

_HEAD_SCALE = 0.02  # BERT's initialisation
SHARED = "shared"  # name of the one encoder


class TaskModule(nn.Module):
    """Pooling, dropout and head of one task."""

    def __init__(self, pooling: nn.Module, dropout: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = dropout
        self.head = head


class MultitaskBert(nn.Module):
    """The encoders, the tasks' modules, and the layer that the pair tasks share.

    Args:
        encoders: `shared` -> encoder, or task -> encoder.
        modules: Task -> module.
        pair_layer: Applied to the pooled vectors of pair tasks.
        tasks: The table of the tasks.
    """

    def __init__(
        self,
        encoders: dict[str, MinBert],
        modules: dict[TaskName, TaskModule],
        pair_layer: nn.Module,
        tasks: Tasks,
    ) -> None:
        super().__init__()
        self._pairs = frozenset(name for name, task in tasks.items() if task.is_pair)
        self._nli_task = nli_task(tasks)
        self.encoders = nn.ModuleDict(encoders)
        self.tasks = nn.ModuleDict(modules)
        self.pair_layer = pair_layer

    def encoder_of(self, name: TaskName) -> MinBert:
        """Return the encoder of a task."""
        own = SHARED if SHARED in self.encoders else self._owner(name)
        return self.encoders[own]  # type: ignore[return-value]

    def _owner(self, name: TaskName) -> TaskName:
        """Return the task whose modules a train set uses: NLI uses those of `nli_task`."""
        if name != NLI:
            return name
        assert self._nli_task is not None, "NLI needs a task with pairs"
        return self._nli_task

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Yield every parameter that more than one task may have a gradient for."""
        yield from self.encoders.parameters()
        yield from self.pair_layer.parameters()

    def forward(self, batch: Batch) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples, n_outputs) for the tasks of the batch, in one pass.

        NLI gives its sentence vectors, (3 * n_examples, width). All tasks of a batch must have the
        same encoder.
        """
        encoder = self.encoder_of(next(iter(batch.rows)))
        states = SequenceStates(encoder(batch.packed), batch.packed, encoder.pooler)
        return {
            name: self.outputs(name, self.vectors(name, states, rows))
            for name, rows in batch.rows.items()
        }

    def vectors(self, name: TaskName, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return the k vectors of each sequence that pooling uses, (n_sequences, k, width)."""
        pooling = self.tasks[self._owner(name)].pooling
        return pooling.vectors(states, rows)  # type: ignore[operator,union-attr,no-any-return]

    def outputs(self, name: TaskName, vectors: Tensor) -> Tensor:
        """Return the outputs of a task from its `vectors`: all layers after the encoder."""
        module = self.tasks[self._owner(name)]
        pooled = module.pooling.combine(vectors)  # type: ignore[operator,union-attr]  # (n_sequences, width)
        if name == NLI:
            return pooled  # type: ignore[no-any-return]
        if name in self._pairs:
            pooled = self.pair_layer(pooled)
        return module.head(module.dropout(pooled))  # type: ignore[operator,no-any-return]

    def load_encoder(self, parameters: Parameters) -> None:
        """Copy the same weights into every encoder."""
        for encoder in self.encoders.values():
            encoder.load_state_dict(parameters, strict=False)


def pair_encodings(config: RunConfig) -> dict[TaskName, Pair | None]:
    """Return task -> pair encoding; None if every sentence is a sequence of its own."""
    return {**{name: pair_of(own) for name, own in config.tasks.items()}, NLI: None}


def build_model(
    config: RunConfig, pretrained: Pretrained, device: torch.device, generator: torch.Generator
) -> MultitaskBert:
    """Build the model of a run; the only place where models are made.

    Args:
        config: The run.
        pretrained: Its encoder; its tensors are copied, never shared.
        device: Device of the model.
        generator: On `device`; draws the heads' weights now and dropout's bits during training.
    """
    names = [SHARED] if config.encoder.sharing == "shared" else list(config.tasks)
    encoders = {
        name: build_encoder(
            pretrained,
            config.encoder.dropout,
            device,
            generator,
            attention_dropout=config.encoder.attention_dropout,
            n_tags=config.features.n_tags,
        )
        for name in names
    }
    width = pretrained.shape.hidden_size
    model = MultitaskBert(
        encoders,
        {task: _task_module(config, task, width, generator) for task in config.tasks},
        config.pair_layer.build(width, generator),
        config.table,
    )
    heads = [*model.tasks.modules(), *model.pair_layer.modules()]
    linear = [module for module in heads if isinstance(module, nn.Linear)]
    for module in linear:
        nn.init.zeros_(module.bias)
    model.to(device)
    for module in linear:
        module.weight.data.normal_(0.0, _HEAD_SCALE, generator=generator)
    return model


def _task_module(
    config: RunConfig, task: TaskName, width: int, generator: torch.Generator
) -> TaskModule:
    own = config.tasks[task]
    n = n_outputs(config.data.table[task], own)
    if isinstance(own, SingleClasses | SingleNumber):
        head = own.head.build(width, n, generator)
    else:
        head = own.pair.build(width, n, takes_logits(own.loss), generator)
    return TaskModule(own.pooling.build(width), Dropout(own.dropout, generator), head)
