from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.gradients.drawn import INDEPENDENT, Matrix, random_gradients
from trainable.gradients.nash_mtl import nash_mtl_weights


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


@given(INDEPENDENT, st.data())
def test_nash_mtl_direction_does_not_depend_on_the_unit_of_one_loss(
    matrix: Matrix, data: st.DataObject
) -> None:
    gradients = random_gradients(*matrix)
    exponents = data.draw(st.lists(st.floats(-6, 6), min_size=matrix[0], max_size=matrix[0]))
    scaled = gradients * 10 ** torch.tensor(exponents, dtype=torch.float64)[:, None]
    update, other = (nash_mtl_weights(g @ g.T) @ g for g in (gradients, scaled))
    cosine = torch.cosine_similarity(update, other, 0)
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-6)
