from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainable.gradients.drawn import ANY, INDEPENDENT, Matrix, random_gradients
from trainable.gradients.cagrad import cagrad_weights


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
