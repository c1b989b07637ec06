"""The multitask model: a shared encoder or one per task, and each task's pooling and head."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainable.losses import takes_logits
from trainable.model.bert import MinBert
from trainable.model.dropout import Dropout
from trainable.model.encoder import Pretrained, build_encoder
from trainable.model.pooling import SequenceStates
from trainable.model.weights import Parameters
from trainable.run_config import RunConfig
from trainable.task_config import SingleTask, TaskConfig
from trainable.tasks import TASK_NAMES, TASKS, TaskName, TrainName
from trainable.training.corpus import Batch, Pair

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
    """The encoders, the tasks' modules, and the layer that the two pair tasks share.

    Args:
        encoders: `shared` -> encoder, or task -> encoder.
        tasks: Task -> module.
        pair_layer: Applied to the pooled vectors of paraphrase and similarity.
    """

    def __init__(
        self, encoders: dict[str, MinBert], tasks: dict[TaskName, TaskModule], pair_layer: nn.Module
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.tasks = nn.ModuleDict({str(task): module for task, module in tasks.items()})
        self.pair_layer = pair_layer

    def encoder_of(self, name: TrainName) -> MinBert:
        """Return the encoder of a task; NLI trains that of similarity."""
        own = "sts" if name == "nli" else name
        return self.encoders[SHARED if SHARED in self.encoders else own]  # type: ignore[return-value]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Yield every parameter that more than one task may have a gradient for."""
        yield from self.encoders.parameters()
        yield from self.pair_layer.parameters()

    def forward(self, batch: Batch) -> dict[TrainName, Tensor]:
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

    def vectors(self, name: TrainName, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return the k vectors of each sequence that pooling uses, (n_sequences, k, width)."""
        pooling = self.tasks["sts" if name == "nli" else name].pooling
        return pooling.vectors(states, rows)  # type: ignore[operator,union-attr,no-any-return]

    def outputs(self, name: TrainName, vectors: Tensor) -> Tensor:
        """Return the outputs of a task from its `vectors`: all layers after the encoder."""
        module = self.tasks["sts" if name == "nli" else name]
        pooled = module.pooling.combine(vectors)  # type: ignore[operator,union-attr]  # (n_sequences, width)
        if name == "nli":
            return pooled  # type: ignore[no-any-return]
        if TASKS[name].is_pair:
            pooled = self.pair_layer(pooled)
        return module.head(module.dropout(pooled))  # type: ignore[operator,no-any-return]

    def load_encoder(self, parameters: Parameters) -> None:
        """Copy the same weights into every encoder."""
        for encoder in self.encoders.values():
            encoder.load_state_dict(parameters, strict=False)


def task_config(config: RunConfig, task: TaskName) -> TaskConfig:
    """Return a task's own part of a RunConfig."""
    own: dict[TaskName, TaskConfig]
    own = {"sst": config.sst, "para": config.para, "sts": config.sts}
    return own[task]


def pair_encodings(config: RunConfig) -> dict[TrainName, Pair]:
    """Return task -> pair encoding; None if every sentence is a sequence of its own."""
    return {"sst": None, "para": config.para.pair, "sts": config.sts.pair, "nli": None}


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
    names = [SHARED] if config.encoder.sharing == "shared" else TASK_NAMES
    encoders = {
        str(name): build_encoder(
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
        {task: _task_module(config, task, width, generator) for task in TASK_NAMES},
        config.pair_layer.build(width, generator),
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
    own = task_config(config, task)
    n_classes = TASKS[task].n_classes
    if isinstance(own, SingleTask):
        assert n_classes is not None, "a task with one sentence is a classification"
        head = own.head.build(width, n_classes, generator)
    else:
        head = own.pair.build(width, takes_logits(own.loss), generator)
    return TaskModule(own.pooling.build(width), Dropout(own.dropout, generator), head)
