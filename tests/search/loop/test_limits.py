from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import Status, TrialRecord
from search.loop.limits import Limits, expected_gain
from search.planning.plan import Plan
from search.schedulers.run_all import RunAll

MakePlan = Callable[..., Plan]
SCORES = st.lists(st.floats(-1 / 3, 1), min_size=8, max_size=24)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("search.loop.limits.time", clock)
    return clock


@pytest.fixture
def search(played: Any) -> Any:
    """A search in which nothing has happened yet."""
    return begun(played)


def begun(played: Any, earlier: Any = (), n_trials: int = 20) -> Any:
    all_run = {"scheduler": lambda history: RunAll()}
    search = played(lambda number, unit: 0.5, earlier, n_trials=n_trials, **all_run)
    search.said = []
    return search


@pytest.fixture
def limits_of(plan_of: MakePlan, search: Any, clock: Clock) -> Callable[..., Limits]:
    """Return a function from options to the limits of a search on two devices a trial."""
    plan = plan_of(space="smoke")

    def limits(search: Any = search, **changed: Any) -> Limits:
        options = replace(plan.options, **changed)
        return Limits(search.dispatcher, options, 2.0, search.said.append, 0.0)

    return limits


def after(limits: Limits, clock: Clock, seconds: float) -> str | None:
    clock.now += seconds
    limits.look()
    return limits.reached


def test_what_went_before_counts(search: Any, plan_of: MakePlan, clock: Clock) -> None:
    options = replace(plan_of(space="smoke").options, time_limit="2m")
    limits = Limits(search.dispatcher, options, 2.0, search.said.append, 50.0)
    assert limits.seconds_left == 70.0
    assert after(limits, clock, 69.0) is None
    assert after(limits, clock, 2.0) == "--time-limit 2m is over"


def test_without_limits_a_search_goes_on(limits_of: Any, clock: Clock) -> None:
    limits = limits_of()
    assert after(limits, clock, 1e7) is None
    assert (limits.seconds_left, limits.is_failure) == (None, False)


def test_the_time_limit_ends_the_search(limits_of: Any, clock: Clock) -> None:
    limits = limits_of(time_limit="30s")
    assert after(limits, clock, 29.0) is None
    assert limits.seconds_left == 1.0
    assert after(limits, clock, 1.0) == "--time-limit 30s is over"
    assert not limits.is_failure


def test_it_looks_at_most_once_a_second(limits_of: Any, clock: Clock) -> None:
    limits = limits_of(time_limit="0.5s")
    assert after(limits, clock, 0.0) is None
    assert after(limits, clock, 0.75) is None
    assert after(limits, clock, 0.25) == "--time-limit 0.5s is over"


def test_device_hours_count_the_devices_of_every_slot(
    limits_of: Any, clock: Clock, search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = limits_of(max_device_hours=3.0)
    hours = SimpleNamespace(held=1.49)

    def device_seconds(devices: float) -> float:
        return 3600 * hours.held * devices

    monkeypatch.setattr(search.dispatcher.costs, "device_seconds", device_seconds)
    assert after(limits, clock, 5.0) is None
    hours.held = 1.5
    assert after(limits, clock, 5.0) == "--max-device-hours 3 are used"
    assert not limits.is_failure


def test_the_first_reason_stays(limits_of: Any, clock: Clock) -> None:
    limits = limits_of(time_limit="30s")
    limits.fail("nothing answers")
    assert after(limits, clock, 60.0) == "nothing answers"
    assert limits.is_failure


def lose(search: Any, times: int) -> None:
    for _ in range(times):
        id = f"a{len(search.log.events)}"
        search.dispatcher.next_job(id)
        search.dispatcher.started(id)
        search.dispatcher.left(id, 1.0, 0.0, f"ImportError: no module {len(search.log.events)}")


def test_a_mistake_that_every_trial_runs_into_ends_the_search(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    limits = limits_of()
    lose(search, 5)
    assert after(limits, clock, 5.0) is None
    lose(search, 1)
    reason = after(limits, clock, 5.0)
    assert reason is not None
    assert reason.startswith("6 attempts failed and none succeeded: ImportError: no module")
    assert limits.is_failure


def test_failures_after_a_success_are_no_mistake_of_all(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    search.dispatcher.next_job("a")
    search.dispatcher.reported("a", 1, {"score": 0.5})
    search.dispatcher.saved("a", "a/1")
    search.dispatcher.left("a", 1.0, 0.0)
    lose(search, 12)
    assert after(limits_of(), clock, 5.0) is None


def test_a_mistake_of_all_is_seen_on_many_slots_and_a_lost_node_is_none(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    limits = limits_of()
    for round in range(2):
        ids = [f"{round} {slot}" for slot in range(8)]
        for id in ids:
            search.dispatcher.next_job(id)
            search.dispatcher.started(id)
        assert after(limits, clock, 5.0) is None
        for id in ids:
            search.dispatcher.left(id, 1.0, 0.0, "ImportError: no module")
        if round == 0:  # they may have shared a node
            assert after(limits, clock, 5.0) is None
    reason = "6 attempts failed and none succeeded: ImportError: no module"
    assert after(limits, clock, 5.0) == reason
    assert all(trial.failures < 3 for trial in search.history.trials.values())


def test_a_unit_whose_checkpoint_cannot_be_saved_is_no_success(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    limits = limits_of()
    for attempt in range(6):
        assert after(limits, clock, 5.0) is None
        id = f"a{attempt}"
        search.dispatcher.next_job(id)
        search.dispatcher.started(id)
        search.dispatcher.reported(id, 1, {"score": 0.5})
        search.dispatcher.left(id, 1.0, 0.0, "OSError: access denied")
    assert after(limits, clock, 5.0) is not None
    assert limits.is_failure


def test_what_failed_under_an_earlier_driver_is_forgiven(
    limits_of: Any, clock: Clock, search: Any, played: Any
) -> None:
    lose(search, 6)
    search.dispatcher.interrupt(1.0, 0.0)
    again = begun(played, search.log.events)
    again.dispatcher.settle()
    limits = limits_of(again)
    lose(again, 5)
    assert after(limits, clock, 5.0) is None
    lose(again, 1)
    assert after(limits, clock, 5.0) is not None


def test_without_a_gain_to_be_had_nothing_new_begins(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    limits = limits_of(min_gain=0.01)
    finish(search, 8)
    assert limits.reason == ""
    for _ in range(2):
        assert after(limits, clock, 5.0) is None
        assert search.dispatcher.queue.n_trials == 8
        assert search.dispatcher.is_finished
    reason = "--min-gain 0.01: 10 more full runs would raise the best score by about 0.0000"
    assert limits.reason == reason
    assert search.said == [f"no new trials begin: {reason}"]
    assert [e["event"] for e in search.log.events].count("limited") == 1


@pytest.mark.parametrize(
    ("n_trials", "min_gain", "begins"),
    [(20, 0.01, False), (21, 0.01, True), (20, 0.02, True), (20, None, True)],
)
def test_what_was_ruled_out_stays_so_until_another_limit_is_asked_for(
    limits_of: Any,
    clock: Clock,
    search: Any,
    played: Any,
    n_trials: int,
    min_gain: float | None,
    begins: bool,
) -> None:
    finish(search, 8)
    after(limits_of(min_gain=0.01), clock, 5.0)
    asked = {"n_trials": n_trials, "options": {"min_gain": min_gain}, "slots": 1}
    search.journal.write("resumed", **asked)
    again = begun(played, search.log.events, n_trials)
    again.dispatcher.settle()
    assert (again.dispatcher.next_job("a") is not None) == begins
    assert again.dispatcher.is_finished != begins


def test_a_limit_that_an_earlier_driver_reached_is_seen_at_once(
    limits_of: Any, clock: Clock, search: Any, played: Any
) -> None:
    """Before the first trial begins."""
    finish(search, 8)
    again = begun(played, search.log.events)
    limits = limits_of(again, min_gain=0.01)
    assert after(limits, clock, 0.0) is None
    assert again.dispatcher.next_job("a") is None


def test_where_all_trials_have_begun_no_gain_is_looked_at(
    limits_of: Any, clock: Clock, played: Any
) -> None:
    search = begun(played, n_trials=8)
    finish(search, 8)
    limits = limits_of(search, min_gain=0.01)
    assert after(limits, clock, 5.0) is None
    assert (limits.reason, search.said) == ("", [])


def finish(search: Any, n: int) -> None:
    """Let trials run to their ends."""
    for number in range(n):
        id = f"full {number}"
        search.dispatcher.next_job(id)
        search.dispatcher.started(id)
        for unit in range(1, search.units + 1):
            search.dispatcher.reported(id, unit, {"score": 0.5})
            search.dispatcher.saved(id, f"{id}/{unit}")
        search.dispatcher.left(id, 1.0, 0.0)


def test_a_gain_that_is_as_large_as_asked_for_is_enough(
    limits_of: Any, clock: Clock, search: Any
) -> None:
    limits = limits_of(min_gain=0.0)
    finish(search, 8)  # with equal scores: nothing is to be gained
    assert after(limits, clock, 5.0) is None
    assert (limits.reason, search.said) == ("", [])


def test_with_a_gain_to_be_had_new_trials_begin(limits_of: Any, clock: Clock, search: Any) -> None:
    limits = limits_of(min_gain=0.01)
    for number in range(8):
        search.history.trials[number] = done(number, number / 10)
    assert after(limits, clock, 5.0) is None
    assert search.dispatcher.queue.n_trials == 20


def done(number: int, score: float | None, status: Status = "done") -> TrialRecord:
    trial = TrialRecord(number, {}, {}, 0.0, 0.0, status=status)
    trial.reports = {9: {"score": score}}
    return trial


def gain(scores: list[float], seed: int = 0) -> float | None:
    history = History()
    history.trials = {n: done(n, score) for n, score in enumerate(scores)}
    return expected_gain(history, seed)


@settings(max_examples=10)
@given(SCORES, st.floats(1.5, 10))
def test_the_gain_grows_with_the_spread(scores: list[float], factor: float) -> None:
    mean = sum(scores) / len(scores)
    narrow, wide = gain(scores), gain([mean + factor * (score - mean) for score in scores])
    assert narrow is not None
    assert wide is not None
    assert 0 <= narrow <= wide + 1e-12
    assert wide == pytest.approx(factor * narrow, abs=1e-9)


@settings(max_examples=10)
@given(st.floats(-1 / 3, 1), st.integers(8, 20))
def test_nothing_is_gained_where_all_are_equal(score: float, n: int) -> None:
    assert gain([score] * n) == pytest.approx(0.0, abs=1e-12)


def test_the_forecast_is_that_of_ten_draws_from_the_blurred_scores() -> None:
    """Half of the newer scores are 0 and half are 1; integrated instead of drawn."""
    width = math.sqrt(8 * 0.25 / 7) * 8**-0.2

    def share_below(x: float) -> float:
        below = [(1 + math.erf((x - at) / (width * math.sqrt(2)))) / 2 for at in (0, 1)]
        return sum(below) / 2

    step = 0.001
    expected = sum(step * (1 - share_below(1 + step * k) ** 10) for k in range(5000))
    older, newer = [-9.0] * 8, [0.0, 1.0] * 4
    assert gain([*older, *newer]) == pytest.approx(expected, abs=0.02)
    assert gain([99.0, *older[1:], *newer]) == 0.0  # the best may be an old one


def test_few_full_runs_say_nothing() -> None:
    assert gain([0.1 * n for n in range(7)]) is None
    assert gain([0.1 * n for n in range(8)]) is not None


def test_only_full_runs_with_a_score_count() -> None:
    history = History()
    history.trials = {n: done(n, n / 10) for n in range(8)}
    expected = expected_gain(history, 0)
    history.trials[8] = done(8, None)
    history.trials[9] = done(9, 50.0, "stopped")
    assert expected_gain(history, 0) == expected
    assert expected is not None
    assert math.isfinite(expected)
    history.trials[0].status = "failed"
    assert expected_gain(history, 0) is None
