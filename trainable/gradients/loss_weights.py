"""The sum of the tasks' losses, plain or with fixed weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Component, FloatRange, Needs, PerTask
from trainable.gradients.base import Losses, Weighting
from trainable.tasks import TaskName


class PlainGradients(Component):
    """The sum of the tasks' gradients."""

    kind: Literal["plain"] = "plain"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return FixedFactors(dict.fromkeys(tasks, 1.0))


class WeightedGradients(Component):
    """A weighted sum, by log-ratios, since only the ratios of the weights mean something.

    The weights are exp(0) for the first task and exp(log) for the others, scaled to sum to the
    number of tasks, so that AdamW's epsilon and clipping see gradients of the usual size. Natural
    language inference has the weight of the task that it helps.

    Attributes:
        log: Task -> logarithm of its weight over that of the first task.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["weighted"] = "weighted"
    log: Annotated[
        dict[TaskName, Annotated[float, Field(ge=-10, le=10)]],
        PerTask(FloatRange(-2.0, 2.0), prefix="log_", default=0.0, but_first=True),
    ] = Field(default_factory=dict)

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        factors = torch.tensor([self.log.get(task, 0.0) for task in tasks]).softmax(0) * len(tasks)
        return FixedFactors(dict(zip(tasks, factors.tolist(), strict=True)))


class FixedFactors(Weighting):
    """A weighted sum of the losses.

    Args:
        factors: Task -> factor of its loss.
    """

    def __init__(self, factors: dict[TaskName, float]) -> None:
        self.module = nn.Module()
        self.factors = factors

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        return torch.stack([loss * self.factors[task] for task, loss in losses.items()]).sum()
