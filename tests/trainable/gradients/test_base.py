from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainable.gradients.base import Losses
from trainable.gradients.loss_history import DynamicAverage, ImprovementSoftmax
from trainable.gradients.loss_weights import FixedFactors, LearnedUncertainty
from trainable.tasks import TASK_NAMES, TrainName

# Losses of three tasks at some steps.
HISTORY = st.lists(st.tuples(*[st.floats(0.01, 10)] * 3), min_size=1, max_size=12)


def as_losses(values: tuple[float, ...] | list[float]) -> Losses:
    return {
        task: torch.tensor(value, requires_grad=True)
        for task, value in zip(TASK_NAMES, values, strict=False)
    }


def factors_of(losses: Losses, total: Tensor) -> Tensor:
    """Return the derivative of the total by each loss, (n_tasks,)."""
    total.backward()  # type: ignore[no-untyped-call]
    return torch.stack([loss.grad for loss in losses.values() if loss.grad is not None])


def factors_over(
    weighting: ImprovementSoftmax | DynamicAverage, history: Sequence[tuple[float, ...]]
) -> list[Tensor]:
    """Return the factors at each step."""
    result = []
    for values in history:
        losses = as_losses(values)
        result.append(factors_of(losses, weighting.total(losses)))
    return result


def test_fixed_factors_are_the_derivatives_of_the_total() -> None:
    weighting = FixedFactors({"sst": 0.5, "para": 2.0, "nli": 3.0})
    losses: Losses = {"nli": torch.tensor(10.0), "sst": torch.tensor(4.0)}
    assert weighting.total(losses) == 32


@given(HISTORY)
def test_improvement_factors_are_the_published_softmax(history: list[tuple[float, ...]]) -> None:
    factors = factors_over(ImprovementSoftmax(TASK_NAMES, standardised=False), history)
    torch.testing.assert_close(factors[0], torch.full((3,), 1 / 3))
    for before, now, given_ in zip(history, history[1:], factors[1:], strict=False):
        expected = (torch.tensor(before) - torch.tensor(now)).softmax(0)
        torch.testing.assert_close(given_, expected)
        assert float(given_.sum()) == pytest.approx(1, abs=1e-5)


@given(HISTORY, st.tuples(*[st.sampled_from([0.25, 1.0, 64.0])] * 3))
def test_standardised_improvements_do_not_depend_on_the_unit_of_a_loss(
    history: list[tuple[float, ...]], units: tuple[float, ...]
) -> None:
    scaled = [tuple(x * u for x, u in zip(row, units, strict=True)) for row in history]
    torch.testing.assert_close(
        factors_over(ImprovementSoftmax(TASK_NAMES, standardised=True), history),
        factors_over(ImprovementSoftmax(TASK_NAMES, standardised=True), scaled),
    )


def test_standardised_improvements_are_in_units_of_their_moving_root_mean_square() -> None:
    history = [(1.0, 5.0, 2.0), (0.5, 5.0, 4.0), (0.7, 5.0, 3.5)]
    factors = factors_over(ImprovementSoftmax(TASK_NAMES, standardised=True), history)
    # The first improvements are their own unit; a loss that stays as it is does not improve.
    torch.testing.assert_close(factors[1], torch.tensor([1.0, 0.0, -1.0]).softmax(0))
    first, second = torch.tensor([0.5, 0.0, -2.0]), torch.tensor([-0.2, 0.0, 0.5])
    squares = (0.9 * 0.1 * first**2 + 0.1 * second**2) / (1 - 0.9**2)
    improvements = torch.where(squares > 0, second / squares.sqrt(), 0.0)
    torch.testing.assert_close(factors[2], improvements.softmax(0))


@given(st.lists(st.floats(0.05, 5), min_size=1, max_size=3))
def test_uncertainty_settles_at_half_the_inverse_of_each_loss(values: list[float]) -> None:
    tasks = TASK_NAMES[: len(values)]
    weighting = LearnedUncertainty(tasks)
    logs = [weighting.log_variances[task] for task in tasks]
    with torch.no_grad():
        for log, value in zip(logs, values, strict=True):
            log.fill_(value).log_()
    losses = as_losses(values)
    factors = factors_of(losses, weighting.total(losses))
    torch.testing.assert_close(factors, 1 / (2 * torch.tensor(values)))
    for log in logs:  # the total is smallest there
        assert float(log.grad) == pytest.approx(0, abs=1e-6)


@given(st.tuples(*[st.floats(0.01, 10)] * 3), st.tuples(*[st.floats(-3, 3)] * 3))
def test_uncertainty_agrees_with_torchjd(
    values: tuple[float, ...], logs: tuple[float, ...]
) -> None:
    scalarization = pytest.importorskip("torchjd.scalarization")
    theirs = scalarization.UW(3)
    ours = LearnedUncertainty(TASK_NAMES)
    with torch.no_grad():
        next(iter(theirs.parameters())).copy_(torch.tensor(logs))
        for task, log in zip(TASK_NAMES, logs, strict=True):
            ours.log_variances[task].fill_(log)
    torch.testing.assert_close(ours.total(as_losses(values)), theirs(torch.tensor(values)))


def test_uncertainty_of_a_task_without_a_loss_has_no_gradient() -> None:
    weighting = LearnedUncertainty(TASK_NAMES)
    weighting.total({"para": torch.tensor(3.0)}).backward()  # type: ignore[no-untyped-call]
    trained = {task for task, log in weighting.log_variances.items() if log.grad is not None}
    assert trained == {"para"}


@given(HISTORY, st.integers(1, 3), st.floats(0.1, 10))
def test_dwa_agrees_with_torchjd_whose_epochs_are_the_windows(
    history: list[tuple[float, ...]], window: int, temperature: float
) -> None:
    scalarization = pytest.importorskip("torchjd.scalarization")
    theirs = scalarization.DWA(temperature)
    ours = DynamicAverage(TASK_NAMES, temperature, window)
    for step, values in enumerate(history):
        if step and step % window == 0:
            theirs.step()
        torch.testing.assert_close(
            ours.total(as_losses(values)), theirs(torch.tensor(values)), rtol=1e-4, atol=1e-4
        )


def test_dwa_compares_with_the_last_window_in_which_a_task_had_a_batch() -> None:
    weighting = DynamicAverage(("sst", "para"), temperature=1.0, window=2)
    steps: list[tuple[TrainName, float]] = [
        *(("sst", 4.0), ("sst", 2.0)),  # sst has a mean of 3
        *(("para", 1.0), ("para", 3.0)),  # para has its first, sst none
        *(("sst", 6.0), ("para", 2.0)),  # sst has twice as much as it had, para as much
        *(("sst", 5.0), ("para", 5.0)),
    ]
    factors = []
    for task, value in steps:
        losses: Losses = {task: torch.tensor(value, requires_grad=True)}
        factors.append(float(factors_of(losses, weighting.total(losses))))
    assert factors[:6] == [1.0] * 6
    assert factors[6:] == pytest.approx((2 * torch.tensor([2.0, 1.0]).softmax(0)).tolist())


def fresh(kind: str) -> ImprovementSoftmax | DynamicAverage:
    if kind == "dwa":
        return DynamicAverage(TASK_NAMES, temperature=0.7, window=3)
    return ImprovementSoftmax(TASK_NAMES, standardised=kind == "standardised")


@pytest.mark.parametrize("kind", ["raw", "standardised", "dwa"])
@given(history=HISTORY, cut=st.integers(0, 12))
def test_histories_go_on_from_json_bit_for_bit(
    kind: str, history: list[tuple[float, ...]], cut: int
) -> None:
    whole = fresh(kind)
    expected = factors_over(whole, history)
    first, second = fresh(kind), fresh(kind)
    factors_over(first, history[:cut])
    state = first.state()
    saved = json.dumps(state, allow_nan=False)
    second.load(json.loads(saved))
    resumed = factors_over(second, history[cut:])
    assert [row.tolist() for row in resumed] == [row.tolist() for row in expected[cut:]]
    assert second.state() == whole.state()
    factors_over(first, history)
    assert json.dumps(state) == saved  # a saved state is a copy
