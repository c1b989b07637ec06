from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import HISTORY, as_losses, factors_of, factors_over
from trainable.gradients.base import Losses
from trainable.gradients.dynamic_weight_average import DynamicAverage
from trainable.tasks import TaskName


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
    steps: list[tuple[TaskName, float]] = [
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


@given(history=HISTORY, cut=st.integers(0, 12))
def test_dwa_goes_on_from_json_bit_for_bit(history: list[tuple[float, ...]], cut: int) -> None:
    whole, first, second = (DynamicAverage(TASK_NAMES, temperature=0.7, window=3) for _ in range(3))
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
