from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import HISTORY, as_losses, factors_of, factors_over
from trainable.gradients.loss_improvement import ImprovementSoftmax


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


@given(HISTORY, st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_task_without_a_batch_changes_nothing_for_the_others_but_the_sum(
    history: list[tuple[float, ...]], has_sts: list[bool]
) -> None:
    """The two tasks that stay have the ratio of a run without the third, which keeps its loss."""
    whole = ImprovementSoftmax(TASK_NAMES, standardised=True)
    others = ImprovementSoftmax(TASK_NAMES[:2], standardised=True)
    alone = ImprovementSoftmax(TASK_NAMES[2:], standardised=True)
    for values, there in zip(history, has_sts, strict=False):
        losses, pair = as_losses(values if there else values[:2]), as_losses(values[:2])
        factors = factors_of(losses, whole.total(losses))
        expected = factors_of(pair, others.total(pair))
        torch.testing.assert_close(factors[:2] / factors[:2].sum(), expected)
        assert float(factors.sum()) == pytest.approx(1, abs=1e-5)
        if there:
            alone.total({TASK_NAMES[2]: torch.tensor(values[2])})
    sts = TASK_NAMES[2]
    assert whole.state()["mean_squares"][sts] == alone.state()["mean_squares"][sts]
    assert whole.state()["n_improvements"][sts] == alone.state()["n_improvements"][sts]


@pytest.mark.parametrize("standardised", [False, True])
@given(history=HISTORY, cut=st.integers(0, 12))
def test_loss_improvement_goes_on_from_json_bit_for_bit(
    standardised: bool, history: list[tuple[float, ...]], cut: int
) -> None:
    whole, first, second = (ImprovementSoftmax(TASK_NAMES, standardised) for _ in range(3))
    expected = factors_over(whole, history)
    factors_over(first, history[:cut])
    state = first.state()
    saved = json.dumps(state, allow_nan=False)
    second.load(json.loads(saved))
    resumed = factors_over(second, history[cut:])
    assert [row.tolist() for row in resumed] == [row.tolist() for row in expected[cut:]]
    assert second.state() == whole.state()
    factors_over(first, history)
    assert json.dumps(state) == saved  # a saved state is a copy
