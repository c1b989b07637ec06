"""PCGrad, which projects gradients in conflict off each other, and a widely used variant of it.

Source: Yu et al. 2020 (arXiv:2001.06782); github.com/WeiChengTseng/Pytorch-PCGrad.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainable.component import Component, Needs
from trainable.gradients.base import GramMethod, Surgery, Weighting, Weights
from trainable.tasks import TaskName


class PCGrad(Component):
    """Gradient surgery (Yu et al. 2020, arXiv:2001.06782), as in the paper."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["pcgrad"] = "pcgrad"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(pcgrad_weights)


class PCGradTseng(Component):
    """Gradient surgery as in WeiChengTseng/Pytorch-PCGrad, which the course's papers used."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["pcgrad_tseng"] = "pcgrad_tseng"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return TsengProjection()


def pcgrad_weights(gram: Tensor, generator: torch.Generator) -> Tensor:
    """Return the weights of PCGrad's update, the sum of the projected gradients.

    Source: algorithm 1 of the paper: each gradient is projected onto the normal plane of every
    other that it is in conflict with, in a fresh random order, and the others enter as they were
    before any projection. No deviation.

    Args:
        gram: (m, m) float64, gram[i, j] = <g_i, g_j>.
        generator: Draws the orders.

    Returns:
        (m,) float64.
    """
    return _projections(gram, generator, onto_itself=False).sum(0)


def pcgrad_tseng_weights(
    gram: Tensor, own: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the weights of PCGrad as Tseng implemented it, which differs from the paper.

    Source: github.com/WeiChengTseng/Pytorch-PCGrad, pcgrad.py at e987ac6. A gradient there is one
    vector over all parameters, heads included, with zeros for other tasks' heads. So a projection
    divides by a length that counts the head, and is incomplete for the shared parameters; taking
    off g_j adds to the gradient of head j; a gradient is also compared with itself; shared
    parameters get the mean, and heads the sum. Deviation: a parameter that some tasks share and
    others do not gets the mean, too; there the sum.

    Args:
        gram: (m, m) float64 of the shared gradients.
        own: (m,) float64 squared lengths of the gradients of each task's own parameters.
        generator: Draws the orders.

    Returns:
        Weights of the shared gradients and of each task's own, (m,) float64 each.
    """
    coefficients = _projections(gram + own.diag(), generator, onto_itself=True)
    return coefficients.mean(0), coefficients.sum(0)


def _projections(gram: Tensor, generator: torch.Generator, onto_itself: bool) -> Tensor:
    """Return (m, m) float64: row i holds the coefficients of the projected gradient i."""
    m = len(gram)
    coefficients = torch.eye(m, dtype=torch.float64)
    for i in range(m):
        for j in torch.randperm(m, generator=generator).tolist():
            conflict = coefficients[i] @ gram[:, j]
            if conflict < 0 < gram[j, j] and (j != i or onto_itself):
                coefficients[i, j] -= conflict / gram[j, j]
    return coefficients


class TsengProjection(Surgery):
    """PCGrad as in Tseng's implementation, which changes the tasks' own gradients, too."""

    def operate(
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Surgery`."""
        return Weights(*pcgrad_tseng_weights(gram, own, generator))
