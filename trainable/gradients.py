"""Gradient combination: from the tasks' gradients to one update of the shared encoder.

A method is a function from the m x m Gram matrix of the shared gradients to m weights, so it can be
tested without a network; methods that need no Gram matrix weigh the losses and cost one backward.
Heads always get the gradient of their own task.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from trainable.component import Component, FloatRange
from trainable.tasks import TASK_NAMES, TaskName


class Combination(Protocol):
    """What the loop needs of a gradient combination.

    Attributes:
        needs_gram: Whether the tasks' gradients must be kept apart.
    """

    needs_gram: bool

    def loss_weights(self, tasks: tuple[TaskName, ...]) -> Tensor:
        """Return (n_tasks,) float32 factors of the losses, before backward."""

    def gradient_weights(self, gram: Tensor, generator: torch.Generator) -> Tensor:
        """Return (m,) float64 factors of the shared gradients, from their (m, m) Gram matrix."""


def pcgrad_weights(gram: Tensor, generator: torch.Generator) -> Tensor:
    """Weights w such that the sum of w_i g_i is PCGrad's update.

    Source: Yu et al. 2020 (arXiv:2001.06782), algorithm 1: each gradient is projected onto the
    normal plane of every other, in a fresh random order, against the others as they were; the
    results are summed. On the Gram matrix a projected gradient is a row of coefficients.

    Args:
        gram: (m, m) float64, gram[i, j] = <g_i, g_j>.
        generator: Draws the orders.

    Returns:
        (m,) float64.
    """
    m = len(gram)
    coefficients = torch.eye(m, dtype=torch.float64)
    for i in range(m):
        for j in torch.randperm(m, generator=generator).tolist():
            conflict = coefficients[i] @ gram[:, j]
            if j != i and conflict < 0:
                coefficients[i, j] -= conflict / gram[j, j]
    return coefficients.sum(0)


class LossWeights:
    """Fixed factors of the losses; one backward for all tasks."""

    needs_gram = False

    def __init__(self, weights: dict[TaskName, float]) -> None:
        self.weights = weights

    def loss_weights(self, tasks: tuple[TaskName, ...]) -> Tensor:
        """See `Combination`."""
        return torch.tensor([self.weights[task] for task in tasks])

    def gradient_weights(self, gram: Tensor, generator: torch.Generator) -> Tensor:
        """See `Combination`."""
        return torch.ones(len(gram), dtype=torch.float64)


class Surgery:
    """PCGrad; one backward per task."""

    needs_gram = True

    def loss_weights(self, tasks: tuple[TaskName, ...]) -> Tensor:
        """See `Combination`."""
        return torch.ones(len(tasks))

    def gradient_weights(self, gram: Tensor, generator: torch.Generator) -> Tensor:
        """See `Combination`."""
        return pcgrad_weights(gram, generator)


class PlainGradients(Component):
    """The sum of the tasks' gradients."""

    kind: Literal["plain"] = "plain"

    def build(self) -> Combination:
        """Return the combination."""
        return LossWeights(dict.fromkeys(TASK_NAMES, 1.0))


class WeightedGradients(Component):
    """A weighted sum. Two log-ratios, since only the ratios of three weights mean something.

    The weights are exp(0), exp(log_para), exp(log_sts) for sst, para, sts, scaled to sum to 3, so
    that AdamW's epsilon and clipping see gradients of the usual size.

    Attributes:
        log_para: Logarithm of the weight of para over that of sst.
        log_sts: Logarithm of the weight of sts over that of sst.
    """

    kind: Literal["weighted"] = "weighted"
    log_para: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0
    log_sts: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0

    def build(self) -> Combination:
        """Return the combination."""
        logs = torch.tensor([0.0, self.log_para, self.log_sts])
        weights = logs.softmax(0) * len(logs)
        return LossWeights(dict(zip(TASK_NAMES, weights.tolist(), strict=True)))


class PCGrad(Component):
    """Gradient surgery (Yu et al. 2020, arXiv:2001.06782), as in the paper."""

    kind: Literal["pcgrad"] = "pcgrad"

    def build(self) -> Combination:
        """Return the combination."""
        return Surgery()


# With one task a step there is nothing to project, so such batch orders offer scaling only.
ScalarGradients = Annotated[PlainGradients | WeightedGradients, Field(discriminator="kind")]
Gradients = Annotated[PlainGradients | WeightedGradients | PCGrad, Field(discriminator="kind")]
