"""The learning rate over the budget: the warm-up, and the schedules after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from trainable.optim.adamw import Optimization
from trainable.optim.schedules import ConstantSchedule, CosineSchedule, LinearSchedule, StepSchedule
from trainable.optim.schedules import Schedule as ScheduleFamily
from trainable.stages.language_modelling import MaskedLanguageModelling

FRACTIONS = st.floats(0, 1)
# Among subnormal numbers the next one below is not close by, and neither is its factor.
WARMUPS = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
SCHEDULES: tuple[Any, ...] = tuple(model() for model in get_args(get_args(ScheduleFamily)[0]))
BY_KIND = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.kind)


def test_all_schedules_are_tested() -> None:
    assert {schedule.kind for schedule in SCHEDULES} >= {"linear", "constant", "cosine", "step"}


@BY_KIND
@given(FRACTIONS, WARMUPS)
def test_factor_lies_between_zero_and_one(schedule: Any, progress: float, warmup: float) -> None:
    assert 0 <= Optimization(warmup=warmup, schedule=schedule).learning_rate_factor(progress) <= 1


@BY_KIND
@given(WARMUPS)
def test_factor_reaches_one_at_the_end_of_the_warmup_without_a_jump(
    schedule: Any, warmup: float
) -> None:
    factor = Optimization(warmup=warmup, schedule=schedule).learning_rate_factor
    assert factor(warmup) == 1
    if warmup > 0:
        assert factor(math.nextafter(warmup, 0)) == pytest.approx(1)
        assert factor(0) == 0


@BY_KIND
@given(st.floats(0, 0.9), FRACTIONS, FRACTIONS)
def test_factor_rises_in_the_warmup_and_never_after(
    schedule: Any, warmup: float, a: float, b: float
) -> None:
    factor = Optimization(warmup=warmup, schedule=schedule).learning_rate_factor
    early, late = sorted((a, b))
    if late <= warmup:
        assert factor(early) <= factor(late)
    if early >= warmup:
        assert factor(early) >= factor(late)


@given(FRACTIONS, st.floats(0, 0.9))
def test_stages_before_the_tasks_have_the_linear_schedule(progress: float, warmup: float) -> None:
    stage = MaskedLanguageModelling(warmup=warmup)
    optimization = Optimization(warmup=warmup, schedule=LinearSchedule())
    expected = optimization.learning_rate_factor(progress)
    assert stage.learning_rate_factor(progress) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()])
@given(warmup=st.floats(0, 0.9))
def test_linear_and_cosine_are_half_way_in_the_middle_and_end_at_zero(
    schedule: Any, warmup: float
) -> None:
    factor = Optimization(warmup=warmup, schedule=schedule).learning_rate_factor
    assert factor((1 + warmup) / 2) == pytest.approx(0.5)
    assert factor(1) == pytest.approx(0, abs=1e-15)


def factors_of_torch(
    n_steps: int, build: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
) -> list[float]:
    """Return the learning rates of n steps under a schedule of torch, from a peak of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = build(optimizer)
    found = []
    for _ in range(n_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@given(st.integers(1, 8), st.integers(1, 20), st.floats(0.05, 1))
def test_step_schedule_is_that_of_torch(n_periods: int, length: int, gamma: float) -> None:
    n = n_periods * length
    expected = factors_of_torch(n, lambda own: lr_scheduler.StepLR(own, length, gamma))
    schedule = StepSchedule(every=1 / n_periods, gamma=gamma)
    factor = Optimization(warmup=0, schedule=schedule).learning_rate_factor
    assert [factor((k + 0.5) / n) for k in range(n)] == pytest.approx(expected)


@pytest.mark.parametrize("every", [0.125, 0.25, 0.5, 1.0])
def test_step_schedule_falls_where_a_period_ends_and_not_before(every: float) -> None:
    own = Optimization(warmup=0, schedule=StepSchedule(every=every, gamma=0.5))
    for number in range(1, round(1 / every) + 1):
        before = own.learning_rate_factor(math.nextafter(number * every, 0))
        assert before == 0.5 ** (number - 1)
        assert own.learning_rate_factor(number * every) == 0.5**number


@given(st.integers(1, 60))
def test_cosine_and_linear_schedules_are_those_of_torch(n: int) -> None:
    references: list[tuple[Any, Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]]] = [
        (CosineSchedule(), lambda own: lr_scheduler.CosineAnnealingLR(own, n)),
        (LinearSchedule(), lambda own: lr_scheduler.LinearLR(own, 1.0, 0.0, n)),
    ]
    for schedule, build in references:
        factor = Optimization(warmup=0, schedule=schedule).learning_rate_factor
        expected = factors_of_torch(n, build)
        assert [factor(k / n) for k in range(n)] == pytest.approx(expected, abs=1e-9)


def test_constant_schedule_stays_at_one() -> None:
    factor = Optimization(warmup=0.1, schedule=ConstantSchedule()).learning_rate_factor
    assert [factor(p) for p in (0.05, 0.1, 0.5, 1.0)] == [0.5, 1, 1, 1]
