from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.logged_search import LoggedSearch, name_of

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]


def test_time_stands_still_between_drivers() -> None:
    search = LoggedSearch("s", History([]))
    history = search.history
    history.slots = [(100.0, 2), (160.0, 0), (1000.0, 3), (1030.0, 0)]
    history.last = 1030.0
    found = search.elapsed(np.array([100.0, 130.0, 160.0, 500.0, 1000.0, 1010.0, 1030.0]))
    assert found.tolist() == [0, 30, 60, 60, 60, 70, 90]
    assert search.slot_seconds == 2 * 60 + 3 * 30
    assert not search.has_driver


@pytest.mark.parametrize(("seconds", "unit"), [(7200.0, "minutes"), (20_000.0, "hours")])
def test_long_searches_are_shown_in_hours(seconds: float, unit: str) -> None:
    search = LoggedSearch("s", History([]))
    search.history.slots, search.history.last = [(0.0, 1)], seconds
    assert search.time_unit[0] == unit
    assert search.has_driver


def test_the_log_says_when_there_were_slots_and_who_held_them() -> None:
    events = [
        {"event": "search", "time": 10.0, "version": 2, "n_trials": 1, "slots": 2, "gpus": 0},
        {"event": "suggested", "time": 11.0, "trial": 0, "params": {}, "run_config": {}},
        {"event": "cost", "time": 30.0, "trial": 0, "seconds": 15.0, "cpus": 1, "gpus": 0},
        {"event": "places", "time": 40.0, "slots": 3},
        {"event": "reported", "time": 50.0, "trial": 0, "unit": 1, "metrics": {}, "failure": ""},
        {"event": "resumed", "time": 90.0, "n_trials": 1, "options": {}, "slots": 1, "gpus": 0},
        {"event": "closed", "time": 99.0, "reason": ""},
    ]
    events[0]["cpus"] = events[5]["cpus"] = 1
    events[1] |= {"bracket": 0, "origin": "default"}
    history = History(events)
    assert history.slots == [(10.0, 2), (40.0, 3), (50.0, 0), (90.0, 1), (99.0, 0)]
    assert history.stints == [(15.0, 30.0)]
    assert LoggedSearch("s", history).slot_seconds == 2 * 30 + 3 * 10 + 9


def test_an_empty_log_has_no_slots() -> None:
    assert LoggedSearch("s", History([])).slot_seconds == 0


def test_slots_of_a_killed_driver_last_until_its_last_event() -> None:
    events = [
        {"event": "search", "time": 100.0, "version": 2, "n_trials": 2, "slots": 2},
        {"event": "suggested", "time": 111.0, "trial": 0, "params": {}, "run_config": {}},
        {"event": "resumed", "time": 1000.0, "n_trials": 2, "options": {}, "slots": 3},
        {"event": "paused", "time": 1005.0, "trial": 0},
    ]
    events[1] |= {"bracket": 0, "origin": "default"}
    assert LoggedSearch("s", History(events)).slot_seconds == 2 * 11 + 3 * 5


@pytest.mark.parametrize(
    ("params", "origin", "name"),
    [
        ({"row": "gradients/cagrad", "repeat": 0}, "gradients/cagrad", "gradients/cagrad"),
        ({"row": "base", "repeat": 2}, "base", "base #3"),
        ({"a": 1}, "default", "default"),
        ({"a": 1}, "", "-"),
    ],
)
def test_trials_have_the_names_that_people_gave(
    params: dict[str, int | str], origin: str, name: str
) -> None:
    assert name_of(TrialRecord(0, params, {}, 0.0, 0.0, origin=origin)) == name  # type: ignore[arg-type]


def test_the_default_is_known_by_its_origin() -> None:
    history = History()
    for number, origin in enumerate(("one-size/baseline", "one-size/x, default", "random")):
        history.trials[number] = TrialRecord(number, {}, {}, 0.0, 0.0, origin=origin)
    default = LoggedSearch("s", history).default
    assert default is history.trials[1]
