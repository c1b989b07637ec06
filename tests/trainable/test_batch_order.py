from __future__ import annotations

import json
import math
from collections import Counter
from typing import get_args

import pytest

from trainable.batch_order import (
    BatchOrder,
    BatchOrderConfig,
    LockStep,
    Proportional,
    RoundRobin,
    SizeSampling,
)
from trainable.tasks import TaskName

SIZES: dict[TaskName, int] = {"sst": 8544, "para": 141506, "sts": 6040}
CONFIGS: tuple[RoundRobin | Proportional | LockStep, ...] = tuple(
    model() for model in get_args(get_args(BatchOrderConfig)[0])
)


def take(order: BatchOrder, n: int, progress: float = 0.0) -> list[dict[TaskName, int]]:
    return [dict(order.next(progress)) for _ in range(n)]


def test_all_batch_orders_are_tested() -> None:
    assert {"round_robin", "proportional", "lock_step"} <= {config.kind for config in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_batches_have_the_size_asked_for(config: RoundRobin | Proportional | LockStep) -> None:
    order = type(config)(batch_size=5).build(SIZES, seed=0)
    assert {n for batch in take(order, 50) for n in batch.values()} == {5}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_loaded_state_goes_on_as_if_never_stopped(
    config: RoundRobin | Proportional | LockStep,
) -> None:
    order = config.build(SIZES, seed=3)
    take(order, 17, 0.2)
    state = json.loads(json.dumps(order.state()))
    resumed = config.build(SIZES, seed=4)
    resumed.load(state)
    assert take(resumed, 100, 0.9) == take(order, 100, 0.9)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_equal_seeds_give_equal_orders(config: RoundRobin | Proportional | LockStep) -> None:
    assert take(config.build(SIZES, 1), 100) == take(config.build(SIZES, 1), 100)


def test_round_robin_takes_turns() -> None:
    tasks = [next(iter(batch)) for batch in take(RoundRobin().build(SIZES, 0), 7)]
    assert tasks == ["sst", "para", "sts", "sst", "para", "sts", "sst"]


def test_lock_step_takes_every_task_every_time() -> None:
    assert take(LockStep(batch_size=4).build(SIZES, 0), 2) == [{"sst": 4, "para": 4, "sts": 4}] * 2


def sampling(alpha: float, annealing: float, seed: int = 0) -> SizeSampling:
    return SizeSampling(SIZES, 1, alpha, annealing, seed)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_probabilities_are_proportional_to_a_power_of_the_size(alpha: float) -> None:
    sst, para, sts = sampling(alpha, 0.0).probabilities(0.7).tolist()
    assert sst + para + sts == pytest.approx(1)
    assert para / sst == pytest.approx((SIZES["para"] / SIZES["sst"]) ** alpha)
    assert sts / sst == pytest.approx((SIZES["sts"] / SIZES["sst"]) ** alpha)


def test_annealing_takes_off_alpha_by_progress() -> None:
    annealed = sampling(1.0, 0.8)
    for progress in (0.0, 0.25, 1.0):
        expected = sampling(1.0 - 0.8 * progress, 0.0).probabilities(0.0)
        assert annealed.probabilities(progress).tolist() == pytest.approx(expected.tolist())


def test_annealing_depends_on_progress_and_not_on_the_number_of_steps() -> None:
    fresh, used = sampling(1.0, 0.8), sampling(1.0, 0.8)
    take(used, 100, 0.1)
    assert used.probabilities(0.5).tolist() == fresh.probabilities(0.5).tolist()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_tasks_are_drawn_as_often_as_their_probability_says(alpha: float) -> None:
    n = 5000
    order = sampling(alpha, 0.0)
    counts = Counter(task for batch in take(order, n) for task in batch)
    for task, p in zip(SIZES, order.probabilities(0.0).tolist(), strict=True):
        assert abs(counts[task] - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_different_seeds_draw_different_orders() -> None:
    assert take(sampling(0.5, 0, seed=0), 100) != take(sampling(0.5, 0, seed=1), 100)
