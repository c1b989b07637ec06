from __future__ import annotations

import math
import random
from statistics import fmean, quantiles
from typing import Any

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.unit_cost import UnitCost
from search.planning.unit_times import (
    DrawnTimes,
    KnownBefore,
    measured_before,
    recorded_before,
    unit_logs,
    unit_times,
)
from tests.search.log_lines import event, reported, suggested

OLD = KnownBefore(math.log(60.0), 0.2, 5.0, 1.0, 20.0, "search old")


def trial(number: int, *units: tuple[float, float], **fields: Any) -> TrialRecord:
    """Return the record of a trial from the seconds of training and evaluation of its units."""
    record = TrialRecord(number, {}, {}, 0.0, 0.0, origin="random" if number else "default")
    for unit, (train, evaluation) in enumerate(units, start=1):
        record.reports[unit] = {"train_seconds": train, "eval_seconds": evaluation, **fields}
    return record


def test_nothing_is_known_before_the_first_unit() -> None:
    assert unit_times([], 9, 2.0, None) is None
    assert unit_times([trial(0)], 9, 2.0, None) is None
    known = unit_times([], 9, 2.0, OLD)
    assert known is not None
    assert (known.log_mean, known.error) == pytest.approx((OLD.log_mean, OLD.error))


def test_other_trials_are_believed_to_take_longer_than_the_default() -> None:
    times = unit_times([trial(0, (9.0, 1.0))], 9, 2.0, None)
    assert times is not None
    mean, error = times.own[0]
    assert mean == pytest.approx(math.log(10))
    assert error == times.unit_spread  # of a single unit
    assert times.log_mean > mean
    assert times.last_seconds == 1.0  # twice as many examples


def test_many_trials_decide_what_the_average_takes() -> None:
    draw = random.Random(0)
    others = [trial(n, (math.exp(draw.gauss(3.0, 0.3)), 0.0)) for n in range(1, 200)]
    times = unit_times([trial(0, (1.0, 0.0)), *others], 9, 1.0, OLD)
    assert times is not None
    assert times.log_mean == pytest.approx(3.0, abs=0.1)
    assert times.error < 0.04
    assert times.spread == pytest.approx(0.3, abs=0.05)


def test_the_evaluation_of_the_last_unit_counts_apart() -> None:
    record = trial(0, (8.0, 2.0), (8.0, 7.0))
    assert unit_logs(record) == pytest.approx([math.log(10)] * 2)
    times = unit_times([record], 2, 1.0, None)
    assert times is not None
    assert times.last_seconds == 5.0


def test_a_unit_that_failed_says_nothing() -> None:
    failed = trial(1)
    failed.reports[1] = {"train_seconds": None}
    assert unit_logs(failed) == []


def test_what_was_measured_is_of_one_unit() -> None:
    known = measured_before(UnitCost(100.0, 2.0, 6.0, 0.5, 1.5), 1000.0)
    assert math.exp(known.log_mean) == pytest.approx(12.5)
    assert (known.last_seconds, known.start_seconds) == (4.0, 1.5)


def history_of(trials: int, tokens: int) -> History:
    """Return a search whose default takes 10 s a unit, and whose other trials take 20 s."""
    history = History([event("search", 100.0, version=2, n_trials=trials, units=9)])
    for number in range(trials):
        history.apply(suggested(number, 110.0) | {"origin": "random" if number else "default"})
        metrics = {"train_seconds": 16.0 if number else 8.0, "eval_seconds": 4.0 if number else 2.0}
        metrics |= {"tokens": tokens, "start_seconds": 0.5}
        time = 150.0 + number
        history.apply(event("reported", time, trial=number, unit=1, metrics=metrics, failure=""))
    return history


def test_an_earlier_search_says_what_units_take() -> None:
    known = recorded_before(history_of(50, 1000), 1000.0, "search old")
    assert known is not None
    assert math.exp(known.log_mean) == pytest.approx(20.0, rel=0.02)
    assert math.exp(known.over_default) == pytest.approx(2.0, rel=0.02)
    assert known.startup_seconds == pytest.approx(40.0)  # from 100 to 150, but for a unit
    assert known.start_seconds == pytest.approx(0.5)


def test_training_goes_with_tokens_and_evaluation_does_not() -> None:
    known = recorded_before(history_of(50, 1000), 3000.0, "search old")
    assert known is not None
    assert math.exp(known.log_mean) == pytest.approx(3 * 16 + 4, rel=0.02)


def test_a_trial_that_failed_before_all_others_reported_says_nothing_of_the_start() -> None:
    history = History([event("search", 100.0, version=2, n_trials=51, units=9)])
    history.apply(suggested(50, 110.0))
    history.apply(reported(50, 120.0, 1, -1 / 3, "OutOfMemoryError: 2 GiB"))
    for own in history_of(50, 1000).trials.values():
        history.trials[own.number] = own
    known = recorded_before(history, 1000.0, "search old")
    assert known is not None
    assert known.startup_seconds == pytest.approx(40.0)


@pytest.mark.parametrize("trials", [0, 1])
def test_a_search_without_other_trials_says_nothing(trials: int) -> None:
    assert recorded_before(history_of(trials, 1000), 1000.0, "search old") is None


@pytest.mark.parametrize("number", [0, 7])
def test_drawn_times_are_as_known(number: int) -> None:
    """For a trial that nothing is known of, and for one that was timed."""
    times = unit_times([trial(0, *[(10.0, 0.0)] * 8)], 9, 1.0, OLD)
    assert times is not None
    draw = random.Random(0)
    logs = [math.log(DrawnTimes(times, 9, draw).seconds(number, 1)) for _ in range(2000)]
    center = times.own[0][0] if number == 0 else times.log_mean
    assert fmean(logs) == pytest.approx(center, abs=0.06)
    low, *_, high = quantiles(logs, n=10)
    assert high - low > (0.3 if number == 0 else 1.2)


def test_a_last_unit_takes_longer() -> None:
    times = unit_times([], 9, 1.0, OLD)
    assert times is not None

    def drawn(unit: int) -> float:
        return fmean(
            DrawnTimes(times, 9, random.Random(seed)).seconds(1, unit) for seed in range(200)
        )

    assert drawn(9) - drawn(8) == pytest.approx(5.0)
