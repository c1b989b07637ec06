"""Aligned-MTL: the mean of the gradients after their principal components got equal lengths.

Source: Senushkin et al. 2023 (CVPR, Independent component alignment).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainable.component import Component, Needs
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import weigh_nonzero
from trainable.tasks import TaskName


class AlignedMTL(Component):
    """Principal components of the gradients made equally long (Senushkin et al. 2023)."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["aligned_mtl"] = "aligned_mtl"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(lambda gram, _: aligned_mtl_weights(gram))


def aligned_mtl_weights(gram: Tensor) -> Tensor:
    """Return (m,) weights of Aligned-MTL's update from the (m, m) Gram matrix.

    Source: algorithm 1 of the paper with equal preferences 1/m: w = sqrt(s_min) G^-1/2 1/m on the
    components that are not zero, s_min the smallest of their eigenvalues. The authors' code sums
    instead. Deviation: an eigenvalue below m times float32's epsilon, relative to the largest, is
    zero, since gradients are float32.
    """

    def aligned(norms: Tensor, cosine: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(norms * norms[:, None] * cosine)  # ascending
        kept = values > values[-1] * len(values) * torch.finfo(torch.float32).eps
        values, vectors = values[kept], vectors[:, kept]
        balance: Tensor = (vectors * (values[0] / values).sqrt()) @ vectors.T
        return balance.mean(1)

    return weigh_nonzero(gram, aligned)
