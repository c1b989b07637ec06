from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import (
    ANY,
    Matrix,
    assert_same_update,
    random_gradients,
    seeded,
)
from trainable.gradients.pcgrad import (
    PCGrad,
    TsengProjection,
    pcgrad_tseng_weights,
    pcgrad_weights,
)


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


def test_tseng_weighs_own_gradients_too() -> None:
    gram = torch.tensor([[1.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)
    own = torch.tensor([1.0, 3.0], dtype=torch.float64)
    weights = TsengProjection().weights(("sst", "para"), gram, own, torch.Generator())
    assert weights.own.tolist() == [1.25, 1.125]
    assert weights.shared.tolist() == [0.625, 0.5625]


def test_pcgrad_keeps_gradients_apart_and_losses_as_they_are() -> None:
    weighting = PCGrad().build(TASK_NAMES)
    assert weighting.needs_gram
    assert weighting.total({"para": torch.tensor(3.0)}) == 3
    gram = torch.eye(3, dtype=torch.float64)
    weights = weighting.weights(TASK_NAMES, gram, gram.diagonal(), torch.Generator())
    assert weights.shared.tolist() == weights.own.tolist() == [1, 1, 1]
