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
_LARGEST_GOAL = 1 - 1e-6  # reaching a cosine of 1 would take an infinitely long step
_NEWTON_STEPS = 200


def cosines(gram: Tensor) -> Tensor:
    """Return (m, m) float64 cosines between the gradients, NaN where one of them is zero."""
    squares = gram.diagonal()
    norms = torch.where(squares > 0, squares.sqrt(), torch.nan)
    return (gram / norms / norms[:, None]).clamp(-1, 1)


def pcgrad_weights(gram: Tensor, generator: torch.Generator) -> Tensor:
    """Weights of PCGrad's update, the sum of the projected gradients.

    Source: Yu et al. 2020 (arXiv:2001.06782), algorithm 1: each gradient is projected onto the
    normal plane of every other that it is in conflict with, in a fresh random order, against the
    others as they were. No deviation.

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
    """Weights of PCGrad as in a widely used implementation, which differs from the paper.

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


def gradvac_weights(
    gram: Tensor, target: Tensor, beta: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights of gradient vaccine's update, and the next target cosines.

    Source: Wang et al. 2021 (arXiv:2010.05874), algorithm 1: where the cosine of g_i, as it has
    become, and g_j is below its target, so much of g_j is added to g_i that it reaches it; then
    the target moves towards the cosine that was found. Targets start at zero. Deviation: one
    target for the whole shared network, none for each layer; targets above 1 - 1e-6 act as that.

    Args:
        gram: (m, m) float64.
        target: (m, m) float64 target cosines, row i for g_i.
        beta: Share of the new cosine in the next target, in [0, 1].
        generator: Draws the order of the other tasks.

    Returns:
        (m,) float64 weights of the sum of the changed gradients, and the next target.
    """
    m = len(gram)
    norms = gram.diagonal().clamp(min=0).sqrt()
    target = target.clone()
    coefficients = torch.eye(m, dtype=torch.float64)
    for i in range(m):
        others = [j for j in range(m) if j != i]
        for number in torch.randperm(m - 1, generator=generator).tolist():
            j = others[number]
            length = (coefficients[i] @ gram @ coefficients[i]).clamp(min=0).sqrt()
            if length == 0 or norms[j] == 0:
                continue  # no angle between them
            cosine = (coefficients[i] @ gram[:, j] / length / norms[j]).clamp(-1, 1)
            goal = target[i, j].clamp(max=_LARGEST_GOAL)
            if cosine < goal:
                sine, goal_sine = (1 - cosine**2).sqrt(), (1 - goal**2).sqrt()
                excess = (goal * sine - cosine * goal_sine) / goal_sine
                coefficients[i, j] += length / norms[j] * excess
            target[i, j] = (1 - beta) * target[i, j] + beta * cosine
    return coefficients.sum(0), target


def mgda_weights(gram: Tensor) -> Tensor:
    """Weights of the shortest vector in the convex hull of the gradients; they sum to 1.

    Source: Desideri 2012 (MGDA); Sener and Koltun 2018 (arXiv:1810.04650), equation 3. Deviation:
    exact, as the best of the 2^m - 1 faces of the hull, where the latter iterate (algorithm 2).
    """

    def shortest(norms: Tensor, cosine: Tensor) -> Tensor:
        faces = _faces(len(norms))
        # On a face's plane, all <g_i, d> are alike where d is shortest: G w is constant.
        points = _onto_simplex(_on_faces(faces, norms, cosine, torch.ones_like(norms)), faces)
        best = int(_lengths(points, norms, cosine).argmin())
        return points[best]

    return _solve(gram, shortest)


def cagrad_weights(gram: Tensor, c: float) -> Tensor:
    """Weights of the update near the mean gradient that helps the worst task most.

    Source: Liu et al. 2021 (arXiv:2110.14048), algorithm 1: max over d of min over i of <g_i, d>
    with |d - g_0| <= c |g_0|, g_0 the mean of the gradients; d = g_0 + c |g_0| g_w / |g_w|, where
    g_w in the convex hull minimises <g_w, g_0> + c |g_0| |g_w|. As in the paper, and unlike the
    authors' code, d is not divided by 1 + c^2. Deviation: solved exactly, face by face.

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
        faces = _faces(len(norms))
        # Where the gradient is constant on a face, products + (radius / |g_w|) G w = mu, and
        # |g_w|^2 = w G w makes this quadratic in mu; the larger root has |g_w| > 0.
        ones = _on_faces(faces, norms, cosine, torch.ones_like(norms))
        pulls = _on_faces(faces, norms, cosine, products)
        a, b = ones.sum(1), pulls.sum(1)
        root = (b**2 - a * (pulls @ products - radius**2)).clamp(min=0).sqrt()
        points = _onto_simplex(((b + root) / a)[:, None] * ones - pulls, faces)
        lengths = _lengths(points, norms, cosine)
        best = int((points @ products + radius * lengths).argmin())
        return mean + radius / lengths[best] * points[best]

    return _solve(gram, cautious)


def imtl_g_weights(gram: Tensor) -> Tensor:
    """Weights of the update with equal projections on all gradients; they sum to 1.

    Source: Liu et al. 2021 (Towards impartial multi-task learning, ICLR), IMTL-G, in the form that
    Quinton and Rey 2024 (arXiv:2406.16232) give it: G^-1 of the lengths, scaled to sum to 1. As
    published, weights may be negative, and then even the common projection. Where the sum to
    scale is zero, all weights are.
    """

    def impartial(norms: Tensor, cosine: Tensor) -> Tensor:
        weights: Tensor = torch.linalg.solve(cosine, torch.ones_like(norms)) / norms
        total = weights.sum()
        if total.abs() <= 1e-12 * weights.abs().sum():
            return torch.zeros_like(norms)
        return weights / total

    return _solve(gram, impartial)


def aligned_mtl_weights(gram: Tensor) -> Tensor:
    """Weights of the mean of the gradients after their principal components got equal lengths.

    Source: Senushkin et al. 2023 (CVPR, Independent component alignment), algorithm 1 with equal
    preferences 1/m: w = sqrt(s_min) G^-1/2 1/m on the components that are not zero, s_min the
    smallest of their eigenvalues. The authors' code sums instead. Deviation: an eigenvalue below
    m times float32's epsilon, relative to the largest, is zero, since gradients are float32.
    """

    def aligned(norms: Tensor, cosine: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(norms * norms[:, None] * cosine)  # ascending
        kept = values > values[-1] * len(values) * torch.finfo(torch.float32).eps
        values, vectors = values[kept], vectors[:, kept]
        balance: Tensor = (vectors * (values[0] / values).sqrt()) @ vectors.T
        return balance.mean(1)

    return _solve(gram, aligned)


def nash_mtl_weights(gram: Tensor) -> Tensor:
    """Weights of the Nash bargaining solution: w > 0 with G w = 1 / w, so |J^T w| = sqrt(m).

    Source: Navon et al. 2022 (arXiv:2202.01017), claim 3.1. Deviation: solved exactly and anew
    for each Gram matrix by Newton's method, as the minimum of w G w / 2 - sum log w; the authors
    approximate by a few convex problems, start from the last solution, and cut the update to
    length 1. Where no solution exists, the directions that no gradient has count as 1e-4 long.
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
    return _solve(gram, bargained) / (longest if longest > 0 else 1)


def _solve(gram: Tensor, method: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
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


def _faces(m: int) -> Tensor:
    """Return (2^m - 1, m) float64: 1 for the tasks that span a face of the convex hull, else 0."""
    return ((torch.arange(1, 2**m)[:, None] >> torch.arange(m)) & 1).double()


def _on_faces(faces: Tensor, norms: Tensor, cosine: Tensor, right: Tensor) -> Tensor:
    """Solve G x = right among the tasks of each face: (n_faces, m), zero for other tasks."""
    blocks = faces[:, :, None] * faces[:, None] * cosine + torch.diag_embed(1 - faces)
    solutions: Tensor = torch.linalg.solve(blocks, faces * (right / norms))
    return solutions / norms


def _onto_simplex(points: Tensor, faces: Tensor) -> Tensor:
    """Make (n_faces, m) weights non-negative with sum 1.

    The best point of the hull is the solution of its own face and stays as it is. Solutions that
    lie outside of their face become some other point of the hull, which is not better.
    """
    points = points.clamp(min=0)
    totals = points.sum(1, keepdim=True)
    centres = faces / faces.sum(1, keepdim=True)
    return torch.where(totals > 0, points / totals, centres)


def _lengths(points: Tensor, norms: Tensor, cosine: Tensor) -> Tensor:
    """Return (n_faces,) lengths of the vectors with these (n_faces, m) weights."""
    scaled = points * norms
    return (scaled @ cosine * scaled).sum(1).clamp(min=0).sqrt()
