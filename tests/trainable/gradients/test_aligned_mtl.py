from __future__ import annotations

import pytest
import torch
from hypothesis import given

from tests.trainable.gradients.drawn import (
    INDEPENDENT,
    Matrix,
    assert_same_update,
    random_gradients,
)
from trainable.gradients.aligned_mtl import aligned_mtl_weights


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
