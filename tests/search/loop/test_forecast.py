from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.loop.finalists import Finalists
from search.loop.forecast import Forecaster, forecast, last_ratio
from search.loop.standing import Standing
from search.planning.algorithms import make_scheduler
from search.planning.plan import Plan
from search.planning.unit_times import KnownBefore, UnitTimes, unit_times
from search.searchers.random_search import RandomSearch

MakePlan = Callable[..., Plan]
OLD = KnownBefore(4.0, 0.2, 0.0, 0.0, 30.0, "search old")  # 55 s a unit


class Watched:
    """A forecaster of a search that a test drives, with one slot of two cores."""

    def __init__(self, plan: Plan, known: KnownBefore | None, spent: float = 10.0) -> None:
        self.now, self.said = 0.0, list[str]()
        self.journal = Journal(
            History([{"event": "search", "time": 0.0, "version": 2, "n_trials": 9}])
        )
        self.dispatcher = Dispatcher(
            self.journal,
            make_scheduler(plan.options, 9, self.journal.history),
            RandomSearch(plan.space, 0),
            plan.space,
            [(plan.space.params_of(plan.space.base), "default")],
            9,
            lambda: self.now,
        )
        self.forecaster = Forecaster(
            *(self.dispatcher, plan, 2.0, known, lambda: 1),
            *(self.said.append, spent, lambda: self.now),
        )

    def train(self, id: str, unit: int, seconds: float = 60.0) -> None:
        """Train a unit."""
        self.now += seconds
        metrics = {"score": 0.5, "train_seconds": seconds, "eval_seconds": 0.0}
        self.dispatcher.reported(id, unit, metrics)


def test_nothing_is_known_before_the_first_unit(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke"), None)
    watched.forecaster.begin()
    assert watched.said == ["forecast: not known before the first unit"]
    assert watched.forecaster.text() == "time left not known before the first unit"
    assert watched.journal.history.forecast is None


def test_units_that_took_no_time_are_not_gone_through_at_every_look(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_made = 0

    def counted(*given: Any) -> UnitTimes | None:
        nonlocal n_made
        n_made += 1
        return unit_times(*given)

    monkeypatch.setattr("search.loop.forecast.unit_times", counted)
    watched = Watched(plan_of(space="smoke"), None)
    watched.dispatcher.next_job("a")
    watched.dispatcher.started("a")
    watched.train("a", 1, seconds=0.0)
    for _ in range(20):
        watched.forecaster.look()
    assert n_made == 1
    watched.train("a", 2)
    watched.forecaster.look()
    assert n_made == 2
    assert len(watched.said) == 1


def test_the_first_unit_makes_the_forecast(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke", price="2/h"), None)
    watched.dispatcher.next_job("a")
    watched.dispatcher.started("a")
    watched.train("a", 1)
    watched.forecaster.look()
    watched.forecaster.look()
    (line,) = watched.said
    assert line.startswith("forecast (80 %, from the first unit): ")
    kept = watched.journal.history.forecast
    assert kept is not None
    low, high = kept["seconds"]
    assert 20 * 60 < low < high < 300 * 60  # 9 trials of 1 to 9 units
    assert kept["elapsed"] == 70.0
    assert kept["cost"] == [2 * own for own in kept["device_hours"]]
    # Both cores are held while the one slot is, from the start on.
    assert kept["device_hours"][0] == pytest.approx(2 * (60 + low) / 3600, rel=0.05)
    assert " h left, " in watched.forecaster.text()
    assert watched.forecaster.text().endswith(" in all")


def test_an_earlier_search_makes_it_before_the_start(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke"), OLD)
    watched.forecaster.begin()
    (line,) = watched.said
    assert line.startswith("forecast (80 %, from search old): ")
    assert "disk up to" in line
    assert "cost" not in line
    low, _ = watched.forecaster.interval()
    watched.now += 20  # workers start
    watched.dispatcher.next_job("a")
    assert watched.forecaster.interval()[0] == pytest.approx(low - 20)
    watched.dispatcher.started("a")
    assert watched.forecaster.interval()[0] == pytest.approx(low - 30, rel=0.2)


def test_quiet_prints_nothing(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke", quiet=True), OLD)
    watched.forecaster.begin()
    assert watched.said == []
    assert watched.journal.history.forecast is not None


def test_limits_bound_what_is_left(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke", time_limit="2m", trials=9), OLD)
    assert watched.forecaster.interval() == (110.0, 110.0)  # 10 s are gone
    watched = Watched(plan_of(space="smoke", max_device_hours=0.1), OLD)
    assert watched.forecaster.interval() == (180.0, 180.0)  # of both cores
    assert "0.1 device hours" in watched.forecaster.text()


def test_runs_of_finalists_are_part_of_it(plan_of: MakePlan) -> None:
    watched = Watched(plan_of(space="smoke"), OLD)
    low, high = watched.forecaster.interval()
    watched.dispatcher.queue.finalists = Finalists(
        watched.journal, 2, 5, lambda runs, split: np.zeros((0, 0)), watched.said.append
    )
    more_low, more_high = watched.forecaster.interval()
    assert more_low - low > 5 * 9 * 20
    assert more_high > high


def test_equal_seeds_give_equal_forecasts() -> None:
    times = unit_times([], 9, 1.0, OLD)
    assert times is not None
    standing = Standing("promotion-asha", (1, 3, 9), 3, 12, 2)
    assert forecast(standing, times, "0") == forecast(standing, times, "0")
    assert forecast(standing, times, "0") != forecast(standing, times, "1")


def test_the_last_unit_is_evaluated_on_more_examples(plan_of: MakePlan) -> None:
    plan: Any = plan_of(space="smoke")
    both = sum(own.n_select + own.n_confirm for own in plan.sizes.values())
    assert last_ratio(plan) == both / sum(own.n_select for own in plan.sizes.values())
