from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.trainable.batch_orders.steps import SIZES, take, tasks_of
from trainable.batch_orders.by_size import SizeSampling


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
    counts = Counter(tasks_of(take(order, n)))
    for task, p in zip(SIZES, order.probabilities(0.0).tolist(), strict=True):
        assert abs(counts[task] - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_different_seeds_draw_different_orders() -> None:
    assert take(sampling(0.5, 0, seed=0), 100) != take(sampling(0.5, 0, seed=1), 100)
