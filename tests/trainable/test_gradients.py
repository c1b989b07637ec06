from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainable.gradients import PCGrad, PlainGradients, WeightedGradients, pcgrad_weights
from trainable.tasks import TASK_NAMES

MATRICES = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**31))


def random_gradients(m: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m, width, dtype=torch.float64, generator=generator)


def pcgrad(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """Algorithm 1 of Yu et al. 2020, on the vectors themselves."""
    projected = gradients.clone()
    for i in range(len(gradients)):
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            product = projected[i] @ gradients[j]
            if j != i and product < 0:
                projected[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    return projected.sum(0)


@given(MATRICES)
def test_pcgrad_weights_give_algorithm_1(matrix: tuple[int, int, int]) -> None:
    gradients, seed = random_gradients(*matrix), matrix[-1]
    weights = pcgrad_weights(gradients @ gradients.T, torch.Generator().manual_seed(seed))
    expected = pcgrad(gradients, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(weights @ gradients, expected, atol=1e-9, rtol=1e-9)


@given(MATRICES)
def test_pcgrad_without_conflict_is_the_sum(matrix: tuple[int, int, int]) -> None:
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


def test_plain_gradients_weigh_all_losses_alike() -> None:
    combination = PlainGradients().build()
    assert not combination.needs_gram
    assert combination.loss_weights(TASK_NAMES).tolist() == [1, 1, 1]


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_weighted_gradients_have_the_stated_ratios_and_sum_to_three(
    log_para: float, log_sts: float
) -> None:
    combination = WeightedGradients(log_para=log_para, log_sts=log_sts).build()
    assert not combination.needs_gram
    sst, para, sts = combination.loss_weights(TASK_NAMES).tolist()
    assert sst + para + sts == pytest.approx(3)
    assert math.log(para / sst) == pytest.approx(log_para, abs=1e-4)
    assert math.log(sts / sst) == pytest.approx(log_sts, abs=1e-4)


def test_a_task_has_its_own_weight_whichever_tasks_are_in_the_step() -> None:
    combination = WeightedGradients(log_para=1.0, log_sts=-1.0).build()
    together = dict(zip(TASK_NAMES, combination.loss_weights(TASK_NAMES).tolist(), strict=True))
    for task in TASK_NAMES:
        assert combination.loss_weights((task,)).tolist() == [together[task]]


def test_surgery_keeps_gradients_apart_and_losses_as_they_are() -> None:
    combination = PCGrad().build()
    assert combination.needs_gram
    assert combination.loss_weights(TASK_NAMES).tolist() == [1, 1, 1]
    gram = torch.eye(3, dtype=torch.float64)
    assert combination.gradient_weights(gram, torch.Generator()).tolist() == [1, 1, 1]
