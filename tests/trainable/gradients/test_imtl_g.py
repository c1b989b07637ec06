from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.trainable.gradients.drawn import INDEPENDENT, Matrix, random_gradients
from trainable.gradients.imtl_g import imtl_g_weights


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


@given(INDEPENDENT, st.data())
def test_imtl_g_direction_does_not_depend_on_the_unit_of_one_loss(
    matrix: Matrix, data: st.DataObject
) -> None:
    gradients = random_gradients(*matrix)
    exponents = data.draw(st.lists(st.floats(-6, 6), min_size=matrix[0], max_size=matrix[0]))
    scaled = gradients * 10 ** torch.tensor(exponents, dtype=torch.float64)[:, None]
    update, other = (imtl_g_weights(g @ g.T) @ g for g in (gradients, scaled))
    cosine = torch.cosine_similarity(update, other, 0)
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-6)
