from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.trainable.batch_orders.steps import SIZES, TRAIN_SETS, batches, take
from trainable.batch_orders.all_tasks import LockStep, ProportionalBatches
from trainable.batch_orders.base import Step
from trainable.tasks import TaskName


@pytest.mark.parametrize("wrap", [True, False])
def test_lock_step_draws_with_replacement_if_asked(wrap: bool) -> None:
    assert LockStep(wrap=wrap, replacement=True).build(SIZES, 0).with_replacement


def test_lock_step_takes_every_task_every_time() -> None:
    sizes, scales = dict.fromkeys(SIZES, 4), dict.fromkeys(SIZES, 1.0)
    assert take(LockStep(batch_size=4).build(SIZES, 0), 2) == [Step(sizes, scales)] * 2


@given(TRAIN_SETS, st.integers(1, 40))
def test_lock_step_without_wrap_lets_each_set_pass_once_an_epoch(
    sizes: dict[TaskName, int], batch_size: int
) -> None:
    order = LockStep(batch_size=batch_size, wrap=False).build(sizes, 0)
    own = {task: batches(size, batch_size) for task, size in sizes.items()}
    n_steps = max(len(parts) for parts in own.values())
    epoch = [{t: parts[k] for t, parts in own.items() if k < len(parts)} for k in range(n_steps)]
    assert [step.sizes for step in take(order, 2 * n_steps)] == 2 * epoch


def test_proportional_batches_are_the_published_ones() -> None:
    (step,) = take(ProportionalBatches().build(SIZES, 0), 1)
    assert step.sizes == {"sst": 1, "para": 24, "sts": 1}
    assert step.loss_scales == {"sst": 1.0, "para": 1 / 24, "sts": 1.0}


@given(TRAIN_SETS, st.integers(1, 8), st.integers(8, 64), st.booleans())
def test_proportional_batches_are_in_proportion_between_the_limits(
    sizes: dict[TaskName, int], smallest: int, largest: int, rescaled: bool
) -> None:
    config = ProportionalBatches(smallest=smallest, largest=largest, rescaled=rescaled)
    (step,) = take(config.build(sizes, 0), 1)
    assert max(step.sizes.values()) == largest
    assert min(step.sizes.values()) >= smallest
    for task, size in sizes.items():
        exact = largest * size / max(sizes.values())
        assert abs(step.sizes[task] - max(smallest, exact)) <= 0.5
    # Equation 7: every loss, were it a sum over its batch, counts as one over the smallest batch.
    sums = {task: n * step.loss_scales[task] for task, n in step.sizes.items()}
    expected = dict.fromkeys(sizes, min(step.sizes.values())) if rescaled else step.sizes
    assert sums == pytest.approx(expected)


def test_a_smallest_batch_above_the_largest_is_refused() -> None:
    with pytest.raises(ValidationError, match="smallest is 32 and largest is 24"):
        ProportionalBatches(smallest=32)
