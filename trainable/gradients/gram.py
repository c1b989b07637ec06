"""What methods share that compute their weights from the Gram matrix of the gradients.

With gradients g_1 .. g_m of m tasks (at most ten and NLI) as the rows of J, such a method needs
only the Gram matrix G = J J^T, (m, m) float64 on the CPU, and gives the (m,) float64 weights w of
the update d = J^T w, along which the optimizer descends. The scale of w is that of each method's
paper: PCGrad and GradVac sum the gradients; CAGrad, Aligned-MTL and PCGrad as Tseng has it take a
mean; the weights of MGDA and IMTL-G sum to 1; the update of Nash-MTL has length sqrt(m).

Weights are finite for every finite Gram matrix. A task whose gradient is zero (a ReLU may do that
to a batch) gets the weight 0: the papers' formulas would divide by its length, or stop the others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Gradients are float32, so cosines have errors of about 1e-7: below this, an eigenvalue is noise.
_SMALLEST_EIGENVALUE = 1e-8


def cosines(gram: Tensor) -> Tensor:
    """Return (m, m) float64 cosines between the gradients, NaN where one of them is zero."""
    squares = gram.diagonal()
    norms = torch.where(squares > 0, squares.sqrt(), torch.nan)
    return (gram / norms / norms[:, None]).clamp(-1, 1)


def weigh_nonzero(gram: Tensor, method: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return (m,) weights: by `method` for gradients that are not zero, 0 for the others.

    Args:
        gram: (m, m) float64.
        method: From the (k,) lengths of the gradients, the longest 1, and their (k, k) cosines,
            positive definite, to (k,) weights. Lengths and cosines come apart because lengths that
            differ by many orders of magnitude would make the Gram matrix itself ill-conditioned.
    """
    squares = gram.diagonal()
    present = squares > 0
    weights = torch.zeros(len(gram), dtype=torch.float64)
    if present.any():
        norms = squares[present].sqrt()
        cosine = cosines(gram)[present][:, present]
        values, vectors = torch.linalg.eigh(cosine)
        if values[0] < _SMALLEST_EIGENVALUE:
            cosine = (vectors * values.clamp(min=_SMALLEST_EIGENVALUE)) @ vectors.T
        weights[present] = method(norms / norms.max(), cosine)
    return weights


def convex_hull_faces(m: int) -> Tensor:
    """Return the faces of the convex hull of m gradients: (2^m - 1, m) float64.

    Row i is 1 for the gradients that span face i, else 0.
    """
    return ((torch.arange(1, 2**m)[:, None] >> torch.arange(m)) & 1).double()


def solve_on_faces(faces: Tensor, norms: Tensor, cosine: Tensor, right: Tensor) -> Tensor:
    """Solve G w = right for each face, with only the gradients that span it.

    Args:
        faces: (n_faces, m), see `convex_hull_faces`.
        norms: (m,) lengths of the gradients.
        cosine: (m, m) cosines between them, positive definite.
        right: (m,) right-hand side.

    Returns:
        (n_faces, m) weights, zero for gradients that do not span the face.
    """
    blocks = faces[:, :, None] * faces[:, None] * cosine + torch.diag_embed(1 - faces)
    solutions: Tensor = torch.linalg.solve(blocks, faces * (right / norms))
    return solutions / norms


def clamp_to_hull(points: Tensor, faces: Tensor) -> Tensor:
    """Return (n_faces, m) weights that are non-negative and sum to 1.

    A solution that lies on its own face stays as it is, and the best point of the hull is one of
    these. A solution outside of its face becomes some other point of the hull: no harm is done,
    because that point is not better than the best.
    """
    points = points.clamp(min=0)
    totals = points.sum(1, keepdim=True)
    centres = faces / faces.sum(1, keepdim=True)
    return torch.where(totals > 0, points / totals, centres)


def combined_lengths(weights: Tensor, norms: Tensor, cosine: Tensor) -> Tensor:
    """Return the lengths of weighted sums of the gradients: (n, m) weights to (n,) lengths."""
    scaled = weights * norms
    return (scaled @ cosine * scaled).sum(1).clamp(min=0).sqrt()
