"""The simulation agrees with results that can be computed by hand."""

from __future__ import annotations

import pytest

from tests.benchmarks.scaling_model import Costs, most_workers, simulate

COSTS = Costs(driver=0.05, latency=0.1, units=2)


def test_one_worker_waits_for_nobody() -> None:
    found = simulate(COSTS, 1, 1.0, 10)
    assert found.seconds == pytest.approx(10 * (2 * 1.0 + 0.05 + 0.1))
    assert found.driver_share == pytest.approx(10 * 0.05 / found.seconds)


def test_without_costs_workers_are_ideal() -> None:
    found = simulate(Costs(0.0, 0.0, 3), 8, 2.0, 64)
    assert found.seconds == pytest.approx(64 / 8 * 3 * 2.0)


def test_a_driver_that_is_always_busy_sets_the_pace() -> None:
    found = simulate(COSTS, 500, 1.0, 5000)
    assert found.seconds == pytest.approx(5000 * 0.05, rel=0.02)
    assert found.driver_share == pytest.approx(1.0, abs=0.01)


def test_the_driver_is_always_busy_beyond_the_bound() -> None:
    bound = most_workers(COSTS.driver, COSTS, 1.0)
    assert bound == pytest.approx(2.15 / 0.05)
    fewer = simulate(COSTS, int(0.7 * bound), 1.0, 4000)
    more = simulate(COSTS, int(1.5 * bound), 1.0, 4000)
    assert fewer.driver_share == pytest.approx(0.7, abs=0.05)
    assert more.driver_share > 0.97
