"""MGDA."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trainable.component import Component
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import hull_faces, on_faces, onto_simplex, solve, vector_lengths
from trainable.tasks import TrainName


def mgda_weights(gram: Tensor) -> Tensor:
    """Weights of the shortest vector in the convex hull of the gradients; they sum to 1.

    Source: Desideri 2012 (MGDA); Sener and Koltun 2018 (arXiv:1810.04650), equation 3. Deviation:
    exact, as the best of the 2^m - 1 faces of the hull, where the latter iterate (algorithm 2).
    """

    def shortest(norms: Tensor, cosine: Tensor) -> Tensor:
        faces = hull_faces(len(norms))
        # On a face's plane, all <g_i, d> are alike where d is shortest: G w is constant.
        points = onto_simplex(on_faces(faces, norms, cosine, torch.ones_like(norms)), faces)
        best = int(vector_lengths(points, norms, cosine).argmin())
        return points[best]

    return solve(gram, shortest)


class MGDA(Component):
    """The shortest vector in the gradients' convex hull (Sener and Koltun 2018)."""

    kind: Literal["mgda"] = "mgda"

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: mgda_weights(gram))
