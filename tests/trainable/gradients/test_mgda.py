from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainable.gradients.drawn import (
    ANY,
    INDEPENDENT,
    Matrix,
    assert_same_update,
    random_gradients,
)
from trainable.gradients.mgda import mgda_weights


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
