"""Nash-MTL: the update that the tasks would agree on in Nash bargaining.

Source: Navon et al. 2022 (arXiv:2202.01017).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainable.component import Component, Needs
from trainable.gradients.base import GramMethod, Weighting
from trainable.gradients.gram import weigh_nonzero
from trainable.tasks import TaskName

_NEWTON_STEPS = 200


class NashMTL(Component):
    """The tasks' Nash bargaining solution (Navon et al. 2022, arXiv:2202.01017)."""

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["nash_mtl"] = "nash_mtl"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return GramMethod(lambda gram, _: nash_mtl_weights(gram))


def nash_mtl_weights(gram: Tensor) -> Tensor:
    """Return (m,) weights from the (m, m) Gram matrix: w > 0 with G w = 1 / w.

    The update J^T w then has length sqrt(m).

    Source: claim 3.1 of the paper. Deviation: solved exactly and anew for each Gram matrix by
    Newton's method, as the minimum of w G w / 2 - sum log w; the authors approximate by a few
    convex problems, start from the last solution, and cut the update to length 1. Where no solution
    exists, the directions that no gradient has count as 1e-4 long.
    """

    def bargained(norms: Tensor, cosine: Tensor) -> Tensor:
        weights = torch.ones_like(norms)
        for _ in range(_NEWTON_STEPS):
            slope = cosine @ weights - 1 / weights
            step = torch.linalg.solve(cosine + (weights**-2).diag(), slope)
            decrement = (slope @ step).clamp(min=0).sqrt()
            # The function is self-concordant: steps this long keep weights positive and converge.
            weights = weights - step / (1 + decrement if decrement > 0.25 else 1)
            if decrement < 1e-6:  # converges quadratically: the step just made left 1e-12
                break
        return weights / norms

    longest = gram.diagonal().max().sqrt()
    return weigh_nonzero(gram, bargained) / (longest if longest > 0 else 1)
