from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search.log.events import Event
from search.log.history import History, Journal
from search.loop.forecast import Forecaster, forecast, how_good, pace_of
from search.loop.simulated_search import Beginning, Pace
from search.planning.amounts import Price
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.unit_cost import UnitCost
from tests.chaos.simulation import make_dispatcher, simulate
from tests.chaos.stub import Faults, report_of

MakePlan = Callable[..., Plan]
COST = UnitCost(100.0, 2.0, 6.0, 1.0, 0.5)
PACE = Pace(10.0, 2.0, 0.5, 0.25, 0.1)


def start(n: int, slots: int = 2) -> Beginning:
    return Beginning(SearchOptions(), (1, 3, 9), n, ("default",), slots)


def test_the_interval_is_that_of_the_parts() -> None:
    found = forecast(start(8), PACE, 2.0, 1000, 0)
    assert found == forecast(start(8), PACE, 2.0, 1000, 0)
    low, high = found.seconds
    assert 40 < low < high < 9 * 8 * 12.0
    assert found.device_hours[1] <= 2.0 * 2 * 1.3 * high / 3600
    assert found.units[0] >= 9
    assert found.disk_bytes[0] >= 3000


def test_large_searches_are_forecast_from_their_mean() -> None:
    small, large = (forecast(start(n), PACE, 1.0, 1000, 0) for n in (300, 301))
    middle = [sum(own.seconds) / 2 for own in (small, large)]
    assert middle[1] == pytest.approx(middle[0], rel=0.25)


def test_what_was_measured_counts_less_the_more_units_there_are() -> None:
    assert pace_of(COST, 1000.0, []).unit_seconds == pytest.approx(13.0)
    paces = [pace_of(COST, 1000.0, [math.log(26.0)] * n) for n in (1, 5, 50)]
    assert [pace.unit_seconds for pace in paces] == sorted(pace.unit_seconds for pace in paces)
    assert paces[-1].unit_seconds == pytest.approx(26.0, rel=0.1)
    assert [pace.doubt for pace in paces] == sorted((p.doubt for p in paces), reverse=True)


def test_the_words_have_time_hours_money_and_disk() -> None:
    found = replace(forecast(start(8), PACE, 1.0, 1000, 0), seconds=(1330.0, 1850.0))
    found = replace(found, device_hours=(0.7, 1.0), disk_bytes=(1.2e9, 1.6e9))
    words = "22-31 min, 0.7-1 device hours{}, 1.2 GB to 1.6 GB of checkpoints"
    assert found.text(None) == words.format("")
    assert found.text(Price("$", 1.2)) == words.format(", $0.84-1.20")


def judged(took: float, *, reason: str = "", at: float = 0.0) -> str:
    head: Event = {"event": "search", "time": 0.0, "version": 2, "n_trials": 1}
    said: Event = {"event": "forecast", "time": at, "seconds": [1320.0, 1860.0]}
    return how_good([head, said, {"event": "closed", "time": at + took, "reason": reason}])


def test_afterwards_it_says_how_good_it_was() -> None:
    assert judged(1620.0) == "forecast 22-31 min, took 27 min: inside the 80 % interval"
    assert judged(2460.0) == "forecast 22-31 min, took 41 min: outside the 80 % interval"
    late = judged(1620.0, at=80.0)
    assert late == "forecast 22-31 min more after 1:20, took 27 min: inside the 80 % interval"
    assert judged(1620.0, reason="--time-limit 27m is over") == ""
    assert how_good([]) == ""


@pytest.fixture
def known(plan_of: MakePlan) -> Any:
    """Return a forecaster, its journal and what it says; a unit takes 100 s at 100 tokens/s."""

    def make(cost: UnitCost | None, **options: Any) -> Any:
        plan = plan_of(space="smoke", searcher="random", **options)
        said: list[str] = []
        journal = Journal(History([{"event": "search", "time": 0.0, "version": 2, "n_trials": 12}]))
        dispatcher = make_dispatcher(plan, journal)
        source = None if cost is None else (cost, "a measured unit")
        made = Forecaster(dispatcher, plan, 1.0, source, lambda: 2, said.append)
        return made, dispatcher, said

    return make


def test_with_a_measured_unit_the_forecast_comes_before_the_first_trial(known: Any) -> None:
    forecaster, dispatcher, said = known(COST, price="$2/h")
    written = []
    write = dispatcher.journal.write
    dispatcher.journal.write = lambda kind, **own: written.append((kind, own)) or write(kind, **own)
    forecaster.look()
    forecaster.look()
    (line,) = said
    assert line.startswith("forecast (80 %, from a measured unit): ")
    assert "$" in line
    ((kind, fields),) = written
    assert kind == "forecast"
    assert fields["cost"] == [2 * hours for hours in fields["device_hours"]]
    low, high = forecaster.seconds_left(forecaster._looked)
    assert [low, high] == fields["seconds"]
    assert forecaster.seconds_left(forecaster._looked + 50.0) == (low - 50.0, high - 50.0)


def test_without_one_it_comes_with_the_first_units(known: Any) -> None:
    forecaster, dispatcher, said = known(None)
    forecaster.look()
    assert (said, forecaster.seconds_left(0.0)) == ([], None)
    for id in ("a", "b", "c"):
        dispatcher.next_job(id)
        dispatcher.started(id)
        report = {"score": 0.5, "tokens": 1e4, "train_seconds": 90.0, "eval_seconds": 10.0}
        dispatcher.reported(id, 1, report)
    forecaster.look()
    assert len(said) == 1
    assert said[0].startswith("forecast (80 %, from the first units): ")


@pytest.mark.slow
@pytest.mark.parametrize(("n", "slots"), [(8, 1), (12, 2), (20, 4)])
def test_the_interval_of_units_covers_70_to_90_percent_of_searches(
    plan_of: MakePlan, tmp_path: Any, n: int, slots: int
) -> None:
    """Searches by the whole driver but Ray, with their own scores and searcher."""
    faults = Faults(str(tmp_path))
    low, high = forecast(start(n, slots), replace(PACE, doubt=0.0), 1.0, 1, 0).units
    inside = 0
    for seed in range(60):
        plan = plan_of(space="smoke", searcher="random", trials=n, seed=seed % 6)
        events = simulate(plan, faults, slots, seed)
        inside += low <= sum(event["event"] == "reported" for event in events) <= high
    assert 0.7 * 60 <= inside <= 0.97 * 60  # units are whole numbers, so the interval is wide


@pytest.mark.slow
@pytest.mark.parametrize("progress", [0.0, 0.3, 0.6])
def test_the_interval_of_seconds_covers_70_to_90_percent_of_searches(
    plan_of: MakePlan, tmp_path: Any, progress: float
) -> None:
    """From a search that stands anywhere: before its first trial, and later."""
    inside = sum(_is_inside(plan_of, str(tmp_path), seed, progress) for seed in range(100))
    assert 70 <= inside <= 92


def _is_inside(plan_of: MakePlan, folder: str, seed: int, progress: float) -> bool:
    """Play a search whose machine and configurations are differently fast; judge its forecast."""
    n, slots, draw = 12, 2, random.Random(seed)
    plan = plan_of(space="smoke", searcher="random", trials=n, seed=seed % 6)
    journal = Journal(History([{"event": "search", "time": 0.0, "version": 2, "n_trials": n}]))
    now, faults = [0.0], Faults(folder)
    dispatcher = make_dispatcher(plan, journal)
    dispatcher._clock = dispatcher.costs._clock = lambda: now[0]
    machine = math.exp(draw.gauss(0.0, 0.1))  # what was measured was not exact
    factors: dict[int, float] = {}
    ends: list[tuple[float, str, int]] = []
    known = UnitCost(1000.0, 0.0, 0.0, 0.0, 0.0)
    forecaster = Forecaster(dispatcher, plan, 1.0, (known, "x"), lambda: slots, lambda line: None)
    interval = began = None
    n_jobs = n_units = 0
    while True:
        while len(ends) < slots:
            job = dispatcher.next_job(f"{n_jobs}")
            if job is not None:
                dispatcher.started(f"{n_jobs}")
                factor = factors.setdefault(job.trial.number, math.exp(draw.gauss(0.0, 0.25)))
                heapq.heappush(ends, (now[0] + 10.0 * machine * factor, f"{n_jobs}", job.unit + 1))
                n_jobs += 1
            elif ends or dispatcher.is_finished:
                break
        if interval is None and n_units >= progress * 28:
            interval, began = forecaster.seconds_left(now[0]), now[0]
        if not ends:
            assert interval is not None
            assert began is not None
            return interval[0] <= now[0] - began <= interval[1]
        now[0], id, unit = heapq.heappop(ends)
        n_units += 1
        trial = dispatcher.jobs[id].trial
        report = report_of(faults, trial.run_config, unit)
        seconds = 10.0 * machine * factors[trial.number]
        report |= {"train_seconds": seconds, "tokens": 10_000.0 * unit}
        failure = report.pop("failure")
        if dispatcher.reported(id, unit, report, failure):
            heapq.heappush(ends, (now[0] + seconds, id, unit + 1))
        else:
            dispatcher.saved(id, f"{id}/{unit}")
            dispatcher.left(id, 1.0, 0.0)
