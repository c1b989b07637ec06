from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainable.gradients.aligned_mtl import aligned_mtl_weights
from trainable.gradients.cagrad import cagrad_weights
from trainable.gradients.gradvac import gradvac_weights
from trainable.gradients.gram import cosines
from trainable.gradients.imtl_g import imtl_g_weights
from trainable.gradients.mgda import mgda_weights
from trainable.gradients.nash_mtl import nash_mtl_weights
from trainable.gradients.pcgrad import pcgrad_tseng_weights, pcgrad_weights

Matrix = tuple[int, int, int]  # tasks, width, seed
ANY = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**31))  # also dependent rows
INDEPENDENT = st.tuples(st.integers(1, 5), st.integers(8, 12), st.integers(0, 2**31))

DETERMINISTIC: dict[str, Callable[[Tensor], Tensor]] = {
    "mgda": mgda_weights,
    "cagrad": lambda gram: cagrad_weights(gram, 0.4),
    "imtl_g": imtl_g_weights,
    "aligned_mtl": aligned_mtl_weights,
    "nash_mtl": nash_mtl_weights,
}
METHODS: dict[str, Callable[[Tensor], Tensor]] = DETERMINISTIC | {
    "pcgrad": lambda gram: pcgrad_weights(gram, torch.Generator().manual_seed(0)),
    "pcgrad_tseng": lambda gram: torch.cat(
        pcgrad_tseng_weights(gram, gram.diagonal(), torch.Generator().manual_seed(0))
    ),
    "gradvac": lambda gram: torch.cat(
        [
            part.flatten()
            for part in gradvac_weights(
                gram, torch.ones_like(gram), 0.5, torch.Generator().manual_seed(0)
            )
        ]
    ),
}


def random_gradients(m: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m, width, dtype=torch.float64, generator=generator)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same_update(gradients: Tensor, weights: Tensor, expected: Tensor) -> None:
    """Compare updates, relative to the largest gradient."""
    torch.testing.assert_close(
        weights @ gradients, expected, rtol=1e-6, atol=1e-6 * float(gradients.norm(dim=1).max())
    )


# PCGrad


def pcgrad(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """Algorithm 1 of Yu et al. 2020, on the vectors themselves."""
    projected = gradients.clone()
    for i in range(len(gradients)):
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            product = projected[i] @ gradients[j]
            if j != i and product < 0:
                projected[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    return projected.sum(0)


@given(ANY)
def test_pcgrad_weights_give_algorithm_1(matrix: Matrix) -> None:
    gradients, seed = random_gradients(*matrix), matrix[-1]
    weights = pcgrad_weights(gradients @ gradients.T, seeded(seed))
    assert_same_update(gradients, weights, pcgrad(gradients, seeded(seed)))


@given(ANY)
def test_pcgrad_without_conflict_is_the_sum(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix).abs()  # no angle above 90 degrees
    weights = pcgrad_weights(gradients @ gradients.T, torch.Generator())
    assert torch.equal(weights, torch.ones(len(gradients), dtype=torch.float64))


@given(st.integers(0, 2**31))
def test_pcgrad_of_two_in_conflict_is_each_projected_off_the_other(seed: int) -> None:
    one, two = random_gradients(2, 6, seed)
    if one @ two > 0:
        two = -two
    gradients = torch.stack([one, two])
    first = one - (one @ two) / (two @ two) * two
    second = two - (one @ two) / (one @ one) * one
    assert abs(first @ two) < 1e-9
    update = pcgrad_weights(gradients @ gradients.T, torch.Generator()) @ gradients
    torch.testing.assert_close(update, first + second)
    # The update is a descent direction for both tasks.
    assert update @ one >= -1e-9
    assert update @ two >= -1e-9


def test_pcgrad_order_is_drawn_from_the_generator() -> None:
    gradients = torch.tensor([[1.0, 0.2], [-1.0, 0.3], [-0.2, -1.0]], dtype=torch.float64)
    gram = gradients @ gradients.T
    generator = torch.Generator().manual_seed(0)
    drawn = {tuple(pcgrad_weights(gram, generator).tolist()) for _ in range(50)}
    assert len(drawn) > 1


def test_pcgrad_survives_opposite_and_zero_gradients() -> None:
    gradients = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    weights = pcgrad_weights(gradients @ gradients.T, torch.Generator())
    assert torch.equal(weights @ gradients, torch.zeros(2, dtype=torch.float64))


@given(ANY)
def test_pcgrad_agrees_with_torchjd(matrix: Matrix) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients, seed = random_gradients(*matrix), matrix[-1]
    gram = gradients @ gradients.T
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # where torchjd draws its orders
        expected = aggregation.PCGradWeighting()(gram) @ gradients
    assert_same_update(gradients, pcgrad_weights(gram, seeded(seed)), expected)


def pcgrad_tseng(gradients: Tensor, shared: Tensor, generator: torch.Generator) -> Tensor:
    """The implementation's loop, on vectors over all parameters; `shared` is a mask of them."""
    projected = gradients.clone()
    for i in range(len(gradients)):
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            product = projected[i] @ gradients[j]
            if product < 0:
                projected[i] -= product * gradients[j] / gradients[j].norm() ** 2
    return torch.where(shared, projected.mean(0), projected.sum(0))


@given(ANY, st.integers(1, 4))
def test_pcgrad_tseng_weights_give_the_implementation_on_vectors_with_heads(
    matrix: Matrix, head_width: int
) -> None:
    m, width, seed = matrix
    gradients = random_gradients(*matrix)
    heads = random_gradients(m, head_width, seed + 1)
    whole = torch.cat([gradients, torch.block_diag(*heads)], 1)  # (m, width + m * head_width)
    mask = torch.arange(whole.shape[1]) < width
    expected = pcgrad_tseng(whole, mask, seeded(seed))
    shared, own = pcgrad_tseng_weights(gradients @ gradients.T, heads.square().sum(1), seeded(seed))
    assert_same_update(gradients, shared, expected[:width])
    torch.testing.assert_close((own[:, None] * heads).flatten(), expected[width:])


def test_only_tseng_compares_a_gradient_with_itself() -> None:
    # Projected off the two others, the first gradient is in conflict with what it was.
    angles = torch.tensor([90.0, 240.0, 300.0], dtype=torch.float64).deg2rad()
    gradients = torch.stack([angles.cos(), angles.sin()], 1)
    gram, own = gradients @ gradients.T, torch.zeros(3, dtype=torch.float64)
    differences = []
    for seed in range(6):
        paper = pcgrad(gradients, seeded(seed))
        assert_same_update(gradients, pcgrad_weights(gram, seeded(seed)), paper)
        tseng = pcgrad_tseng(gradients, torch.ones(2, dtype=torch.bool), seeded(seed))
        shared, _ = pcgrad_tseng_weights(gram, own, seeded(seed))
        assert_same_update(gradients, shared, tseng)
        differences.append(float((3 * tseng - paper).norm()))
    assert max(differences) > 0.1  # in an order that compares it with itself last


def test_pcgrad_tseng_projects_incompletely_and_scales_heads_up() -> None:
    gram = torch.tensor([[1.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)
    own = torch.tensor([1.0, 3.0], dtype=torch.float64)
    shared, heads = pcgrad_tseng_weights(gram, own, torch.Generator())
    # The paper takes -0.5 / 1 of the other off. Here heads count: -0.5 / 4 and -0.5 / 2.
    torch.testing.assert_close(heads, torch.tensor([1.25, 1.125], dtype=torch.float64))
    assert torch.equal(shared, heads / 2)


# GradVac


def gradvac(
    gradients: Tensor, target: Tensor, beta: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of Wang et al. 2021, on the vectors themselves."""
    changed, target = gradients.clone(), target.clone()
    for i in range(len(gradients)):
        others = [j for j in range(len(gradients)) if j != i]
        for number in torch.randperm(len(others), generator=generator).tolist():
            j = others[number]
            phi = torch.cosine_similarity(changed[i], gradients[j], 0)
            goal = target[i, j].clone()
            target[i, j] = (1 - beta) * goal + beta * phi
            if phi < goal:
                excess = goal * (1 - phi**2).sqrt() - phi * (1 - goal**2).sqrt()
                factor = changed[i].norm() * excess / (gradients[j].norm() * (1 - goal**2).sqrt())
                changed[i] = changed[i] + factor * gradients[j]
    return changed.sum(0), target


@given(INDEPENDENT, st.floats(0, 1), st.floats(-0.9, 0.9))
def test_gradvac_weights_give_algorithm_1(matrix: Matrix, beta: float, start: float) -> None:
    gradients, seed = random_gradients(*matrix), matrix[-1]
    target = torch.full((len(gradients),) * 2, start, dtype=torch.float64)
    update, expected_target = gradvac(gradients, target, beta, seeded(seed))
    weights, next_target = gradvac_weights(gradients @ gradients.T, target, beta, seeded(seed))
    torch.testing.assert_close(weights @ gradients, update, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(next_target, expected_target)
    assert (target == start).all()  # it is given back, not changed


@given(st.integers(0, 2**31), st.floats(-0.95, 0.95))
def test_gradvac_of_two_reaches_the_target_cosine(seed: int, goal: float) -> None:
    gradients = random_gradients(2, 6, seed)
    gram = gradients @ gradients.T
    assume(cosines(gram)[0, 1] < goal)
    target = torch.tensor([[0.0, goal], [-1.0, 0.0]], dtype=torch.float64)  # changes g_0 alone
    weights, _ = gradvac_weights(gram, target, 0.1, torch.Generator())
    changed = weights @ gradients - gradients[1]
    cosine = torch.cosine_similarity(changed, gradients[1], 0)
    assert float(cosine) == pytest.approx(goal, abs=1e-6)


@given(ANY)
def test_gradvac_with_targets_at_zero_is_pcgrad_for_two_tasks(matrix: Matrix) -> None:
    gradients = random_gradients(2, *matrix[1:])
    gram = gradients @ gradients.T
    weights, _ = gradvac_weights(gram, torch.zeros_like(gram), 0.0, torch.Generator())
    assert_same_update(gradients, weights, pcgrad_weights(gram, torch.Generator()) @ gradients)


@given(INDEPENDENT, st.floats(0.01, 0.5))
def test_gradvac_agrees_with_torchjd_step_after_step(matrix: Matrix, beta: float) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    m, width, seed = matrix
    theirs = aggregation.GradVacWeighting(beta=beta, eps=0.0)
    generator, target = seeded(seed), torch.zeros(m, m, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for step in range(4):
            gradients = random_gradients(m, width, seed + step)
            gram = gradients @ gradients.T
            weights, target = gradvac_weights(gram, target, beta, generator)
            torch.testing.assert_close(weights, theirs(gram), rtol=1e-6, atol=1e-6)


# MGDA


@given(ANY)
def test_mgda_gives_the_shortest_vector_of_the_convex_hull(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    weights = mgda_weights(gradients @ gradients.T)
    update = weights @ gradients
    assert (weights >= 0).all()
    assert float(weights.sum()) == pytest.approx(1)
    # This holds at the shortest point of a convex set and nowhere else.
    scale = float(gradients.square().sum(1).max())
    assert (gradients @ update >= update @ update - 1e-6 * scale).all()


@given(st.integers(0, 2**31))
def test_mgda_of_two_agrees_with_torchjd(seed: int) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = random_gradients(2, 6, seed)  # where its iteration is exact, too
    gram = gradients @ gradients.T
    assert_same_update(gradients, mgda_weights(gram), aggregation.MGDAWeighting()(gram) @ gradients)


@given(INDEPENDENT)
@settings(max_examples=10)
def test_mgda_is_never_longer_than_torchjd(matrix: Matrix) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = random_gradients(*matrix)
    gram = gradients @ gradients.T
    length = (mgda_weights(gram) @ gradients).norm()
    theirs = (aggregation.MGDAWeighting()(gram) @ gradients).norm()
    assert length <= theirs * (1 + 1e-9)
    assert theirs <= length * 1.2  # their hundred iterations come near


# CAGrad


@given(ANY, st.floats(0.01, 0.99))
def test_cagrad_is_the_best_for_the_worst_task_in_the_ball(matrix: Matrix, c: float) -> None:
    gradients = random_gradients(*matrix)
    weights = cagrad_weights(gradients @ gradients.T, c)
    update, mean = weights @ gradients, gradients.mean(0)
    unit = float(gradients.square().sum(1).max())
    assert (update - mean).norm() <= c * mean.norm() + 1e-6 * math.sqrt(unit)
    # Any convex combination g_w bounds what the worst task can gain in the ball; ours attains it.
    point = weights - 1 / len(weights)
    point = point / point.sum()
    assert (point >= -1e-9).all()
    bound = point @ gradients @ mean + c * mean.norm() * (point @ gradients).norm()
    assert float((gradients @ update).min()) == pytest.approx(float(bound), abs=2e-4 * unit)


@given(ANY)
def test_cagrad_with_c_zero_is_the_mean(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    weights = cagrad_weights(gradients @ gradients.T, 0.0)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / len(weights)))


@pytest.mark.slow
@given(INDEPENDENT, st.floats(0.1, 0.9))
@settings(max_examples=25)
def test_cagrad_agrees_with_torchjd(matrix: Matrix, c: float) -> None:
    pytest.importorskip("cvxpy")
    pytest.importorskip("clarabel")
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = random_gradients(*matrix)
    gram = gradients @ gradients.T
    theirs = aggregation.CAGradWeighting(c=c, norm_eps=0.0)(gram) @ gradients
    update = cagrad_weights(gram, c) @ gradients
    torch.testing.assert_close(update, theirs, rtol=0, atol=1e-3 * float(theirs.norm()))
    # Where they differ, ours is the better one.
    assert (gradients @ update).min() >= (gradients @ theirs).min() - 1e-7


# IMTL-G


@given(INDEPENDENT)
def test_imtl_g_projects_equally_on_all_gradients(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    weights = imtl_g_weights(gradients @ gradients.T)
    assume(weights.abs().max() < 1e3)  # near a sum of zero, roundings show
    projections = (gradients / gradients.norm(dim=1, keepdim=True)) @ (weights @ gradients)
    torch.testing.assert_close(projections, projections[:1].expand_as(projections))
    assert float(weights.sum()) == pytest.approx(1)


@given(INDEPENDENT)
def test_imtl_g_agrees_with_torchjd(matrix: Matrix) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = random_gradients(*matrix)
    gram = gradients @ gradients.T
    torch.testing.assert_close(
        imtl_g_weights(gram), aggregation.IMTLGWeighting()(gram), rtol=1e-6, atol=1e-8
    )


def test_imtl_g_of_opposite_gradients_stands_still() -> None:
    gradients = torch.tensor([[3.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    update = imtl_g_weights(gradients @ gradients.T) @ gradients
    torch.testing.assert_close(update, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)


def test_imtl_g_without_a_solution_stands_still() -> None:
    cosine = torch.tensor([[1.0, 0.9, 0.65], [0.9, 1.0, 0.9], [0.65, 0.9, 1.0]]).double()
    # Equal projections need these weights of unit vectors; lengths make their sum zero.
    first, second, third = torch.linalg.solve(cosine, torch.ones(3).double()).tolist()
    assert second < 0
    norms = torch.tensor([1.0, -second / (first + third), 1.0], dtype=torch.float64)
    assert imtl_g_weights(norms * norms[:, None] * cosine).tolist() == [0, 0, 0]


# Aligned-MTL


@given(INDEPENDENT)
def test_aligned_mtl_is_the_mean_of_gradients_with_equal_singular_values(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    left, values, right = torch.linalg.svd(gradients, full_matrices=False)
    expected = (values.min() * left @ right).mean(0)
    assert_same_update(gradients, aligned_mtl_weights(gradients @ gradients.T), expected)


@given(INDEPENDENT)
def test_aligned_mtl_agrees_with_torchjd(matrix: Matrix) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = random_gradients(*matrix)
    gram = gradients @ gradients.T
    torch.testing.assert_close(
        aligned_mtl_weights(gram), aggregation.AlignedMTLWeighting()(gram), rtol=1e-6, atol=1e-8
    )


def test_aligned_mtl_ignores_components_that_are_rounding_errors() -> None:
    gradients = random_gradients(1, 500, seed=0).float().expand(3, -1)
    noisy = gradients + 1e-7 * random_gradients(3, 500, seed=1).float()
    weights = aligned_mtl_weights((noisy @ noisy.T).double())
    torch.testing.assert_close(
        weights.sum(), torch.ones((), dtype=torch.float64), rtol=1e-3, atol=0
    )


# Nash-MTL


@given(INDEPENDENT)
def test_nash_mtl_solves_the_bargaining_equation(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    gram = gradients @ gradients.T
    weights = nash_mtl_weights(gram)
    assert (weights > 0).all()
    torch.testing.assert_close(gram @ weights, 1 / weights)
    assert float((weights @ gradients).norm()) == pytest.approx(math.sqrt(len(gradients)))


@given(st.integers(0, 2**31))
def test_nash_mtl_weights_are_positive_where_plain_newton_steps_leave_the_domain(seed: int) -> None:
    gradients = random_gradients(8, 3, seed) + 1.0
    gradients /= gradients.norm(dim=1, keepdim=True)
    weights = nash_mtl_weights(gradients @ gradients.T)
    assert (weights > 0).all()
    assert (gradients @ (weights @ gradients) > -1e-3).all()  # no task gets worse


def test_nash_mtl_of_opposite_gradients_stands_still() -> None:
    gradients = torch.tensor([[3.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    update = nash_mtl_weights(gradients @ gradients.T) @ gradients
    torch.testing.assert_close(update, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-3)


# All of them


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(matrix=INDEPENDENT, data=st.data())
def test_the_order_of_the_tasks_does_not_matter(
    name: str, matrix: Matrix, data: st.DataObject
) -> None:
    gradients = random_gradients(*matrix)
    order = data.draw(st.permutations(range(len(gradients))))
    gram = gradients @ gradients.T
    weights = DETERMINISTIC[name](gram)[order]
    torch.testing.assert_close(DETERMINISTIC[name](gram[order][:, order]), weights)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", [1e-15, 1e12])
def test_weights_do_not_depend_on_the_unit_of_the_losses(name: str, scale: float) -> None:
    gradients = random_gradients(4, 6, seed=5)
    gram = gradients @ gradients.T
    factor = 1 / scale if name == "nash_mtl" else 1.0  # its update has a length of its own
    torch.testing.assert_close(METHODS[name](gram * scale**2), METHODS[name](gram) * factor)


@pytest.mark.parametrize("name", ["imtl_g", "nash_mtl"])
@given(matrix=INDEPENDENT, data=st.data())
def test_direction_does_not_depend_on_the_unit_of_one_loss(
    name: str, matrix: Matrix, data: st.DataObject
) -> None:
    gradients = random_gradients(*matrix)
    exponents = data.draw(st.lists(st.floats(-6, 6), min_size=matrix[0], max_size=matrix[0]))
    scaled = gradients * 10 ** torch.tensor(exponents, dtype=torch.float64)[:, None]
    update, other = (DETERMINISTIC[name](g @ g.T) @ g for g in (gradients, scaled))
    cosine = torch.cosine_similarity(update, other, 0)
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_task_without_a_gradient_takes_no_part(name: str) -> None:
    gradients = random_gradients(3, 6, seed=1)
    with_zero = torch.cat([gradients[:1], torch.zeros(1, 6, dtype=torch.float64), gradients[1:]])
    weights = DETERMINISTIC[name](with_zero @ with_zero.T)
    assert weights[1] == 0
    expected = DETERMINISTIC[name](gradients @ gradients.T)
    torch.testing.assert_close(weights[torch.tensor([0, 2, 3])], expected)


def awkward() -> dict[str, Tensor]:
    """Gram matrices that break formulas."""
    two = random_gradients(2, 6, seed=2)
    rows: dict[str, Any] = {
        "zero": torch.zeros(3, 2, dtype=torch.float64),
        "one zero": torch.cat([two, torch.zeros(1, 6, dtype=torch.float64)]),
        "equal": two[:1].expand(3, -1),
        "opposite": torch.stack([two[0], -two[0]]),
        "balanced": torch.stack([two[0], two[1], -two[0] - two[1]]),
        "more tasks than width": random_gradients(4, 2, seed=3),
        "lengths far apart": random_gradients(3, 6, seed=4)
        * torch.tensor([[1e-20], [1.0], [1e15]], dtype=torch.float64),
        "opposite, lengths far apart": torch.stack([1e-18 * two[0], -1e12 * two[0]]),
        "tiny": 1e-22 * random_gradients(4, 2, seed=6),
        "eight tasks": random_gradients(8, 5, seed=7),
    }
    grams = {name: matrix @ matrix.T for name, matrix in rows.items()}
    # As a GPU gives it: rounded, so that it has a negative eigenvalue.
    same = random_gradients(1, 2000, seed=8).float().expand(4, -1)
    rounded = (same + 1e-7 * random_gradients(4, 2000, seed=9).float()).mul(1 / 3)
    grams["rounded"] = (rounded @ rounded.T).double() - 1e-4 * torch.eye(4, dtype=torch.float64)
    # Products of small numbers that are too small for float32, their sums are not.
    grams["underflow"] = torch.tensor([[0.0, -1e-30], [-1e-30, 1.0]], dtype=torch.float64)
    return grams


@pytest.mark.parametrize("gram", awkward().values(), ids=awkward())
@pytest.mark.parametrize("name", METHODS)
def test_weights_are_finite_whatever_the_gradients(name: str, gram: Tensor) -> None:
    before = gram.clone()
    assert METHODS[name](gram).isfinite().all()
    assert torch.equal(gram, before)


@pytest.mark.parametrize("name", METHODS)
@given(st.floats(1e-20, 1e15))
@settings(max_examples=10)
def test_one_task_keeps_the_direction_of_its_gradient(name: str, length: float) -> None:
    weights = METHODS[name](torch.tensor([[length**2]], dtype=torch.float64))
    expected = {"nash_mtl": 1 / length, "cagrad": 1.4}.get(name, 1.0)
    assert float(weights[0]) == pytest.approx(expected)


# Cosines


@given(ANY)
def test_cosines_are_those_of_the_vectors(matrix: Matrix) -> None:
    gradients = random_gradients(*matrix)
    expected = torch.cosine_similarity(gradients[:, None], gradients[None], dim=-1)
    torch.testing.assert_close(cosines(gradients @ gradients.T), expected)


@pytest.mark.parametrize("product", [0.0, -1e-30])  # the squares of small numbers may underflow
def test_cosines_with_a_zero_gradient_are_nan(product: float) -> None:
    gram = torch.tensor([[4.0, 0.0, -2.0], [0.0, 0.0, product], [-2.0, product, 1.0]]).double()
    matrix = cosines(gram)
    assert matrix[1].isnan().all()
    assert matrix[:, 1].isnan().all()
    assert matrix[0, 2] == -1
    assert matrix[0, 0] == 1
