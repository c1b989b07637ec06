"""AdamW: its groups of parameters, their learning rates, and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from statistics import fmean
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import nn

from trainable.component import (
    Choice,
    Component,
    FloatRange,
    Needs,
    PerTask,
    PriorSpread,
    PriorWeights,
)
from trainable.model.bert import MinBert
from trainable.optim.schedules import LinearSchedule, Schedule, warmup_factor
from trainable.tasks import TaskName

Rate = Annotated[float, Field(gt=0, le=1000)]


class NoClipping(Component):
    """Gradients as they are."""

    kind: Literal["none"] = "none"

    @property
    def max_norm(self) -> float:
        """Largest norm of the whole gradient."""
        return math.inf


class NormClipping(Component):
    """Gradients that are longer than a norm are scaled down to it.

    Attributes:
        max_norm: Largest norm of the whole gradient.
    """

    kind: Literal["norm"] = "norm"
    max_norm: Annotated[float, Field(gt=0), FloatRange(0.5, 5.0, log=True)] = 1.0


Clipping = Annotated[
    NoClipping | NormClipping, Field(discriminator="kind"), PriorWeights({"norm": 3})
]


class Optimization(Component):
    """AdamW and its learning rates.

    Attributes:
        lr: Peak learning rate of the encoder's last layer.
        head_lr: Peak learning rate of everything outside the encoder.
        task_lr: Task -> factor of both. Parameters of one task learn at its factor; those that
            tasks share learn, in each step, at the mean factor of the step's tasks. NLI has the
            factor of the task that it helps.
        layer_decay: The learning rate of a layer is this factor times that of the layer above.
        weight_decay: Decoupled decay of matrices; biases, LayerNorm and other vectors have none.
        amsgrad: Whether the second moment that divides a step is the largest so far (Reddi et al.
            2018, arXiv:1904.09237) instead of the current one.
        schedule: The learning rate after the warm-up.
        warmup: Fraction of the full budget over which the learning rate rises from zero.
        clip: Whether and how long gradients are shortened.
    """

    lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 3e-4, log=True), PriorSpread(0.2)] = (
        1e-4
    )
    head_lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 1e-2, log=True)] = 1e-3
    task_lr: Annotated[
        dict[TaskName, Rate],
        PerTask(FloatRange(0.1, 10.0, log=True), prefix="task_lr.", default=1.0),
        Needs(tasks=2),
    ] = Field(default_factory=dict)
    layer_decay: Annotated[float, Field(gt=0, le=1), FloatRange(0.7, 1.0)] = 0.95
    # Not in the logarithm: most published runs have none.
    weight_decay: Annotated[float, Field(ge=0, le=1), FloatRange(0.0, 0.1)] = 1e-2
    amsgrad: Annotated[bool, Choice((False, True)), PriorWeights({False: 3})] = False
    schedule: Schedule = LinearSchedule()
    warmup: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.2)] = 0.1
    clip: Clipping = NormClipping()

    def rate_of(self, task: TaskName) -> float:
        """Return the factor of a task's learning rates; 1 unless `task_lr` says otherwise."""
        return self.task_lr.get(task, 1.0)

    def learning_rate_factor(self, progress: float) -> float:
        """Return the factor in [0, 1] of the peak learning rate at progress in [0, 1]."""
        elapsed = max(0.0, progress - self.warmup) / (1.0 - self.warmup)
        return warmup_factor(progress, self.warmup) * self.schedule.factor(elapsed)

    def build(
        self, encoders: nn.ModuleDict, tasks: nn.ModuleDict, others: nn.Module
    ) -> torch.optim.AdamW:
        """Return torch's fused AdamW over everything that is trained.

        Each group carries its `peak_lr`, and as `task` the name of the task that it belongs to, or
        None if tasks share it. `set_learning_rates` reads both.

        Args:
            encoders: One MinBert for all tasks, under any name that is no task's, or one for each
                task, under the task's name.
            tasks: Task -> what follows the encoder.
            others: Everything else that is trained; tasks share it.
        """
        groups: list[dict[str, Any]] = []
        for name, encoder in encoders.items():
            for depth, parameters in _by_depth(cast(MinBert, encoder)).items():
                peak_lr = self.lr * self.layer_decay**depth
                groups.append(self._group(parameters, peak_lr, name if name in tasks else None))
        for name, module in tasks.items():
            groups.append(self._group(module.parameters(), self.head_lr, name))
        groups.append(self._group(others.parameters(), self.head_lr, None))
        return build_adamw(groups, self.weight_decay, amsgrad=self.amsgrad)

    def _group(
        self, parameters: Iterable[nn.Parameter], peak_lr: float, task: TaskName | None
    ) -> dict[str, Any]:
        if task is not None:
            peak_lr *= self.rate_of(task)
        return {"params": list(parameters), "peak_lr": peak_lr, "task": task}


def build_adamw(
    groups: Iterable[dict[str, Any]], weight_decay: float, *, amsgrad: bool = False
) -> torch.optim.AdamW:
    """Return torch's fused AdamW; whoever trains sets `lr` of each group before each step.

    Each given group becomes two: its matrices, which decay, and its vectors, which do not. Empty
    ones are left out.

    Args:
        groups: Each has `params`, a list of parameters, and further entries that its two groups
            get as well, such as `peak_lr`.
        weight_decay: Decoupled decay of the matrices.
        amsgrad: See `Optimization.amsgrad`.
    """
    halves: list[dict[str, Any]] = []
    for group in groups:
        matrices = [parameter for parameter in group["params"] if parameter.ndim > 1]
        vectors = [parameter for parameter in group["params"] if parameter.ndim <= 1]
        halves.append({**group, "params": matrices, "weight_decay": weight_decay})
        halves.append({**group, "params": vectors, "weight_decay": 0.0})
    kept = [half for half in halves if half["params"]]
    return torch.optim.AdamW(kept, lr=0.0, amsgrad=amsgrad, fused=True)


def set_learning_rates(
    optimizer: torch.optim.Optimizer,
    optimization: Optimization,
    progress: float,
    tasks: Collection[TaskName],
) -> None:
    """Set the learning rate of each group for one step.

    Args:
        optimizer: What `optimization` built.
        optimization: Schedule and factors.
        progress: Of the full budget, in [0, 1], in the middle of the step.
        tasks: The tasks that the step trains on, at least one.
    """
    factor = optimization.learning_rate_factor(progress)
    shared = factor * fmean(optimization.rate_of(task) for task in tasks)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * (shared if group["task"] is None else factor)


def _by_depth(encoder: MinBert) -> dict[int, list[nn.Parameter]]:
    """Return the encoder's parameters by how many layers lie above them: number -> parameters."""
    n_layers = encoder.shape.num_hidden_layers
    depths: dict[int, list[nn.Parameter]] = {}
    for name, parameter in encoder.named_parameters():
        part, number = name.split(".")[:2]
        if part == "layers":
            layers_above = n_layers - 1 - int(number)
        else:
            layers_above = {"embeddings": n_layers, "pooler": 0}[part]
        depths.setdefault(layers_above, []).append(parameter)
    return depths
