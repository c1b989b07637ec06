"""Multitask gradient methods as pure functions: from a Gram matrix to weights.

With gradients g_1 .. g_m of m <= 8 tasks as the rows of J, every method here needs only the Gram
matrix G = J J^T, (m, m) float64 on the CPU, and gives the (m,) float64 weights w of the update
d = J^T w, along which the optimizer descends. The scale of w is each method's own, as its paper
has it: PCGrad and GradVac sum, CAGrad, Aligned-MTL and PCGrad as Tseng has it take a mean, the
weights of MGDA and IMTL-G sum to 1, and the update of Nash-MTL has length sqrt(m).

Weights are finite for every finite Gram matrix. A task whose gradient is zero (a ReLU may do that
to a batch) takes no part: the papers' formulas would divide by its length, or stop the others.
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


def solve(gram: Tensor, method: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return (m,) weights by `method` for the tasks with a gradient, 0 for the others.

    Args:
        gram: (m, m) float64.
        method: From the (k,) lengths of the gradients, the longest 1, and their (k, k) cosines,
            positive definite, to (k,) weights. Taken apart, because lengths may lie many orders
            of magnitude apart without harm, cosines may not.
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


def hull_faces(m: int) -> Tensor:
    """Return (2^m - 1, m) float64: 1 for the tasks that span a face of the convex hull, else 0."""
    return ((torch.arange(1, 2**m)[:, None] >> torch.arange(m)) & 1).double()


def on_faces(faces: Tensor, norms: Tensor, cosine: Tensor, right: Tensor) -> Tensor:
    """Solve G x = right among the tasks of each face: (n_faces, m), zero for other tasks."""
    blocks = faces[:, :, None] * faces[:, None] * cosine + torch.diag_embed(1 - faces)
    solutions: Tensor = torch.linalg.solve(blocks, faces * (right / norms))
    return solutions / norms


def onto_simplex(points: Tensor, faces: Tensor) -> Tensor:
    """Make (n_faces, m) weights non-negative with sum 1.

    The best point of the hull is the solution of its own face and stays as it is. Solutions that
    lie outside of their face become some other point of the hull, which is not better.
    """
    points = points.clamp(min=0)
    totals = points.sum(1, keepdim=True)
    centres = faces / faces.sum(1, keepdim=True)
    return torch.where(totals > 0, points / totals, centres)


def vector_lengths(points: Tensor, norms: Tensor, cosine: Tensor) -> Tensor:
    """Return (n_faces,) lengths of the vectors with these (n_faces, m) weights."""
    scaled = points * norms
    return (scaled @ cosine * scaled).sum(1).clamp(min=0).sqrt()
