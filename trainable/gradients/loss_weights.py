"""The sum of the tasks' losses, plain or with fixed weights."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Component, FloatRange
from trainable.gradients.base import Losses, Weighting
from trainable.tasks import TrainName


class PlainGradients(Component):
    """The sum of the tasks' gradients."""

    kind: Literal["plain"] = "plain"

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return FixedFactors(dict.fromkeys(tasks, 1.0))


class WeightedGradients(Component):
    """A weighted sum. Two log-ratios, since only the ratios of three weights mean something.

    The weights are exp(0), exp(log_para), exp(log_sts) for sst, para, sts, scaled to sum to the
    number of tasks, so that AdamW's epsilon and clipping see gradients of the usual size. Natural
    language inference has the weight of sts, because it trains what sts trains.

    Attributes:
        log_para: Logarithm of the weight of para over that of sst.
        log_sts: Logarithm of the weight of sts over that of sst.
    """

    kind: Literal["weighted"] = "weighted"
    log_para: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0
    log_sts: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        logs: dict[TrainName, float]
        logs = {"sst": 0.0, "para": self.log_para, "sts": self.log_sts, "nli": self.log_sts}
        factors = torch.tensor([logs[task] for task in tasks]).softmax(0) * len(tasks)
        return FixedFactors(dict(zip(tasks, factors.tolist(), strict=True)))


class FixedFactors(Weighting):
    """A weighted sum of the losses.

    Args:
        factors: Task -> factor of its loss.
    """

    def __init__(self, factors: dict[TrainName, float]) -> None:
        self.module = nn.Module()
        self.factors = factors

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        return torch.stack([loss * self.factors[task] for task, loss in losses.items()]).sum()
