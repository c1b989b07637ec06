from __future__ import annotations

import json

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import (
    ANY,
    INDEPENDENT,
    Matrix,
    assert_same_update,
    awkward_grams,
    random_gradients,
    seeded,
)
from trainable.gradients.gradvac import Vaccine, gradvac_weights
from trainable.gradients.gram import cosines
from trainable.gradients.pcgrad import pcgrad_weights
from trainable.tasks import TaskName


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


@pytest.mark.parametrize("gram", awkward_grams().values(), ids=awkward_grams())
def test_gradvac_weights_are_finite_with_targets_at_one(gram: Tensor) -> None:
    before, target = gram.clone(), torch.ones_like(gram)
    weights, next_target = gradvac_weights(gram, target, 0.5, seeded(0))
    assert weights.isfinite().all()
    assert next_target.isfinite().all()
    assert torch.equal(gram, before)


@pytest.mark.parametrize("scale", [1e-15, 1e12])
def test_gradvac_weights_with_targets_at_one_do_not_depend_on_the_unit_of_the_losses(
    scale: float,
) -> None:
    gradients = random_gradients(4, 6, seed=5)
    gram, target = gradients @ gradients.T, torch.ones(4, 4, dtype=torch.float64)
    one, other = (gradvac_weights(g, target, 0.5, seeded(0)) for g in (gram, gram * scale**2))
    torch.testing.assert_close(other, one)


def gram_of(seed: int, m: int = 3) -> Tensor:
    gradients = torch.randn(
        m, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return gradients @ gradients.T


@pytest.mark.parametrize("names", [("para", "sts"), ("sts", "para")])
def test_vaccine_keeps_a_target_for_each_pair_of_tasks(names: tuple[TaskName, ...]) -> None:
    weighting = Vaccine(TASK_NAMES, beta=0.5)
    gram = gram_of(0, 2)
    own = torch.ones(2, dtype=torch.float64)
    weighting.weights(names, gram, own, torch.Generator())
    _, pair = gradvac_weights(gram, torch.zeros_like(gram), 0.5, torch.Generator())
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            expected[TASK_NAMES.index(one), TASK_NAMES.index(other)] = pair[i, j]
    assert pair[0, 1] != 0
    assert weighting.state()["target"] == expected.tolist()


def test_vaccine_goes_on_from_json_bit_for_bit() -> None:
    own = torch.ones(3, dtype=torch.float64)

    def run(weighting: Vaccine, steps: range) -> list[list[float]]:
        return [
            weighting.weights(
                TASK_NAMES, gram_of(step), own, torch.Generator().manual_seed(step)
            ).shared.tolist()
            for step in steps
        ]

    whole, first, second = (Vaccine(TASK_NAMES, beta=0.3) for _ in range(3))
    expected = run(whole, range(8))
    assert run(first, range(5)) == expected[:5]
    second.load(json.loads(json.dumps(first.state())))
    assert run(second, range(5, 8)) == expected[5:]
