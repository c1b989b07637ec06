"""IMTL-G: the update with equal projections on all gradients.

Source: Liu et al. 2021 (Towards impartial multi-task learning, ICLR).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainable.component import Component, Needs
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import weigh_nonzero
from trainable.tasks import TaskName


class IMTLG(Component):
    """Equal projections on all gradients, IMTL-G (Liu et al. 2021)."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["imtl_g"] = "imtl_g"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(lambda gram, _: imtl_g_weights(gram))


def imtl_g_weights(gram: Tensor) -> Tensor:
    """Return (m,) weights of IMTL-G's update from the (m, m) Gram matrix; they sum to 1.

    Source: the form of Quinton and Rey 2024 (arXiv:2406.16232): G^-1 times the lengths, scaled to
    sum to 1. As published, weights may be negative, and then even the common projection. Where the
    sum to scale is zero, all weights are zero.
    """

    def impartial(norms: Tensor, cosine: Tensor) -> Tensor:
        weights: Tensor = torch.linalg.solve(cosine, torch.ones_like(norms)) / norms
        total = weights.sum()
        if total.abs() <= 1e-12 * weights.abs().sum():
            return torch.zeros_like(norms)
        return weights / total

    return weigh_nonzero(gram, impartial)
