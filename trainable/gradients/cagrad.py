"""CAGrad: the update near the mean gradient that helps the worst task most.

Source: Liu et al. 2021 (arXiv:2110.14048).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainable.component import Component, FloatRange, Needs
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import (
    clamp_to_hull,
    combined_lengths,
    convex_hull_faces,
    solve_on_faces,
    weigh_nonzero,
)
from trainable.tasks import TaskName


class CAGrad(Component):
    """The update near the mean gradient that helps the worst task most (Liu et al. 2021).

    Attributes:
        c: How far from the mean gradient, in units of its length; 0 is the mean.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["cagrad"] = "cagrad"
    c: Annotated[float, Field(ge=0, lt=1), FloatRange(0.1, 0.9)] = 0.4

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(lambda gram, _: cagrad_weights(gram, self.c))


def cagrad_weights(gram: Tensor, c: float) -> Tensor:
    """Return the weights of CAGrad's update.

    Source: algorithm 1 of the paper: max over d of min over i of <g_i, d> with
    |d - g_0| <= c |g_0|, g_0 the mean of the gradients; d = g_0 + c |g_0| g_w / |g_w|, where g_w in
    the convex hull minimises <g_w, g_0> + c |g_0| |g_w|. As in the paper, and unlike the authors'
    code, d is not divided by 1 + c^2. Deviation: solved exactly, face by face.

    Args:
        gram: (m, m) float64.
        c: Radius of the ball around g_0 in units of its length, in [0, 1); 0 is the mean.

    Returns:
        (m,) float64.
    """

    def cautious(norms: Tensor, cosine: Tensor) -> Tensor:
        mean = torch.full_like(norms, 1 / len(norms))
        products = norms * (cosine @ (norms * mean))  # <g_i, g_0>
        radius = c * (mean @ products).sqrt()
        faces = convex_hull_faces(len(norms))
        # Where the gradient is constant on a face, products + (radius / |g_w|) G w = mu, and
        # |g_w|^2 = w G w makes this quadratic in mu; the larger root has |g_w| > 0.
        ones = solve_on_faces(faces, norms, cosine, torch.ones_like(norms))
        pulls = solve_on_faces(faces, norms, cosine, products)
        a, b = ones.sum(1), pulls.sum(1)
        root = (b**2 - a * (pulls @ products - radius**2)).clamp(min=0).sqrt()
        points = clamp_to_hull(((b + root) / a)[:, None] * ones - pulls, faces)
        lengths = combined_lengths(points, norms, cosine)
        best = int((points @ products + radius * lengths).argmin())
        return mean + radius / lengths[best] * points[best]

    return weigh_nonzero(gram, cautious)
