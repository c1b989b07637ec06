"""Cosines, and the contract of methods on gradients, over the union of all methods."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import (
    ANY,
    INDEPENDENT,
    Matrix,
    awkward_grams,
    kind_of,
    members,
    random_gradients,
)
from trainable.gradients.base import Weights
from trainable.gradients.family import Gradients
from trainable.gradients.gram import cosines, weigh_nonzero

ON_GRADIENTS = [own for own in members(Gradients) if own.build(TASK_NAMES).needs_gram]


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


def weights_of(config: Any, gram: Tensor, seed: int = 0) -> Weights:
    """Return the weights that a fresh method gives for one step."""
    tasks: Any = tuple(f"task {number}" for number in range(len(gram)))  # more than there are
    generator = torch.Generator().manual_seed(seed)
    return config.build(tasks).weights(tasks, gram, gram.diagonal(), generator)


def draws(config: Any) -> bool:
    """Whether a method draws at random, such as an order of the tasks."""
    gradients = torch.tensor([[1.0, 0.2], [-1.0, 0.3], [-0.2, -1.0]], dtype=torch.float64)
    gram = gradients @ gradients.T  # all in conflict
    found = {tuple(weights_of(config, gram, seed).shared.tolist()) for seed in range(20)}
    return len(found) > 1


DETERMINISTIC = [config for config in ON_GRADIENTS if not draws(config)]
EACH = pytest.mark.parametrize("config", ON_GRADIENTS, ids=kind_of)
EACH_DETERMINISTIC = pytest.mark.parametrize("config", DETERMINISTIC, ids=kind_of)


def test_methods_on_gradients_are_found() -> None:
    drawing = {"pcgrad", "pcgrad_tseng", "gradvac"}
    found = {config.kind for config in DETERMINISTIC}
    assert found >= {"mgda", "cagrad", "imtl_g", "aligned_mtl", "nash_mtl"}
    assert {config.kind for config in ON_GRADIENTS} - found >= drawing


@EACH_DETERMINISTIC
@given(matrix=INDEPENDENT, data=st.data())
def test_the_order_of_the_tasks_does_not_matter(
    config: Any, matrix: Matrix, data: st.DataObject
) -> None:
    gradients = random_gradients(*matrix)
    order = data.draw(st.permutations(range(len(gradients))))
    gram = gradients @ gradients.T
    weights = weights_of(config, gram).shared[order]
    torch.testing.assert_close(weights_of(config, gram[order][:, order]).shared, weights)


@EACH
@pytest.mark.parametrize("scale", [1e-15, 1e12])
def test_weights_do_not_depend_on_the_unit_of_the_losses(config: Any, scale: float) -> None:
    gradients = random_gradients(4, 6, seed=5)
    one, other = (weights_of(config, gradients @ gradients.T * unit**2) for unit in (1.0, scale))
    factor = 1 / scale if config.kind == "nash_mtl" else 1.0  # its update has a length of its own
    torch.testing.assert_close(other.shared, one.shared * factor)
    torch.testing.assert_close(other.own, one.own)


@EACH_DETERMINISTIC
def test_a_task_without_a_gradient_takes_no_part(config: Any) -> None:
    gradients = random_gradients(3, 6, seed=1)
    with_zero = torch.cat([gradients[:1], torch.zeros(1, 6, dtype=torch.float64), gradients[1:]])
    weights = weights_of(config, with_zero @ with_zero.T).shared
    assert weights[1] == 0
    expected = weights_of(config, gradients @ gradients.T).shared
    torch.testing.assert_close(weights[torch.tensor([0, 2, 3])], expected)


@pytest.mark.parametrize("gram", awkward_grams().values(), ids=awkward_grams())
@EACH
def test_weights_are_finite_whatever_the_gradients(config: Any, gram: Tensor) -> None:
    before = gram.clone()
    weights = weights_of(config, gram)
    assert weights.shared.isfinite().all()
    assert weights.own.isfinite().all()
    assert torch.equal(gram, before)


@EACH
@given(st.floats(1e-20, 1e15))
@settings(max_examples=10)
def test_one_task_keeps_the_direction_of_its_gradient(config: Any, length: float) -> None:
    weights = weights_of(config, torch.tensor([[length**2]], dtype=torch.float64))
    expected = {"nash_mtl": 1 / length, "cagrad": 1.4}.get(config.kind, 1.0)
    assert float(weights.shared[0]) == pytest.approx(expected)
    assert float(weights.own[0]) == 1.0


@pytest.mark.parametrize("angle", [1e-3, 1e-2, 1.0])
def test_gradients_that_are_nearly_parallel_keep_their_cosine(angle: float) -> None:
    """The smallest eigenvalue is 5e-7 for the smallest angle: small, and no rounding error."""
    gradients = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    seen: list[Tensor] = []

    def method(norms: Tensor, cosine: Tensor) -> Tensor:
        seen.append(cosine)
        return norms

    weigh_nonzero(gradients @ gradients.T, method)
    assert seen[0][0, 1] == pytest.approx(math.cos(angle), abs=1e-15)
