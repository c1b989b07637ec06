"""MGDA: the shortest vector in the convex hull of the gradients.

Source: Desideri 2012; Sener and Koltun 2018 (arXiv:1810.04650).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainable.component import Component, Needs
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import (
    clamp_to_hull,
    combined_lengths,
    convex_hull_faces,
    solve_on_faces,
    weigh_nonzero,
)
from trainable.tasks import TaskName


class MGDA(Component):
    """The shortest vector in the gradients' convex hull (Sener and Koltun 2018)."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["mgda"] = "mgda"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(lambda gram, _: mgda_weights(gram))


def mgda_weights(gram: Tensor) -> Tensor:
    """Return (m,) weights of MGDA's update from the (m, m) Gram matrix; they sum to 1.

    Source: Sener and Koltun 2018, equation 3. Deviation: they iterate (algorithm 2); this is exact,
    the best of the 2^m - 1 faces of the hull.
    """

    def shortest(norms: Tensor, cosine: Tensor) -> Tensor:
        faces = convex_hull_faces(len(norms))
        # The shortest d on a face's plane has the same <g_i, d> for all i: G w is constant.
        points = clamp_to_hull(solve_on_faces(faces, norms, cosine, torch.ones_like(norms)), faces)
        best = int(combined_lengths(points, norms, cosine).argmin())
        return points[best]

    return weigh_nonzero(gram, shortest)
