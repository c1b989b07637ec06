"""A search that was stopped anywhere and goes on ends as one that was not stopped."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from search.log.events import Event
from search.log.history import History
from search.schedulers.run_all import RunAll
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.optuna_tpe import OptunaTpe
from tests.search.conftest import SMOKE

SEEDS = st.integers(0, 10**6)
SHAPES = st.sampled_from([(4, 2, 1), (9, 3, 1), (9, 3, 2), (3, 2, 1), (1, 2, 1)])


@pytest.mark.slow
@settings(max_examples=6)
@given(
    seed=SEEDS,
    shape=SHAPES,
    n_trials=st.integers(1, 7),
    broken=st.tuples(
        st.integers(0, 3), st.integers(1, 4), st.sampled_from(["", "lost", "unsaved"])
    ),
)
@example(seed=0, shape=(4, 2, 1), n_trials=3, broken=(0, 2, "lost"))
@example(seed=0, shape=(4, 2, 1), n_trials=3, broken=(1, 1, "unsaved"))
def test_a_search_that_is_killed_anywhere_ends_as_one_that_was_not(
    played: Any,
    outcomes: Any,
    seed: int,
    shape: tuple[int, int, int],
    n_trials: int,
    broken: tuple[int, int, str],
) -> None:
    """Cut after every single event, the ones in the middle of a decision included.

    One trial loses its worker in one unit, whenever it is tried.
    """
    outcome = outcomes(seed, 0.08, 0.08)
    units, eta, brackets = shape
    options: dict[str, Any] = {"n_trials": n_trials, "units": units}
    options |= {"eta": eta, "brackets": brackets}
    options["lost"] = lambda number, unit: broken[2] if (number, unit) == broken[:2] else ""
    whole = played(outcome, **options).play()
    events = whole.log.events
    for end in range(1, len(events) + 1):
        again = played(outcome, events[:end], **options).play()
        assert again.found == whole.found, f"cut after {end}: {events[end - 1]}"
        had = {(e["trial"], e["unit"]) for e in events[:end] if e["event"] == "reported"}
        for key, n in again.trained.items():
            assert n == 1 or (key == broken[:2] and broken[2])
        repeated = [trial for trial, unit in again.trained if (trial, unit) in had]
        assert len(repeated) == len(set(repeated))
        assert all(trial.failures <= 3 for trial in again.history.trials.values())
        done = [trial for trial in again.history.trials.values() if trial.status == "done"]
        assert all(units in trial.checkpoints for trial in done)
        assert_once(again.log.events)


def assert_once(events: list[Event]) -> None:
    """No trial is suggested, and no unit reported or decided twice, whoever wrote the log."""
    for kind in ("suggested", "reported", "decided", "promoted"):
        keys = [(e["trial"], e.get("unit")) for e in events if e["event"] == kind]
        assert len(keys) == len(set(keys)), kind


@pytest.mark.slow
@settings(max_examples=10)
@given(seed=SEEDS, places=st.integers(2, 5), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_a_search_on_many_places_that_is_killed_again_and_again_ends(
    played: Any, outcomes: Any, seed: int, places: int, cuts: list[float]
) -> None:
    outcome, options = outcomes(seed, 0.05, 0.05), {"n_trials": 10, "units": 9, "eta": 3}
    search = played(outcome, **options).play(places, seed)
    for k, cut in enumerate(cuts):
        events = search.log.events
        search = played(outcome, events[: 1 + int(cut * (len(events) - 1))], **options)
        search.play(places, seed + k)
    assert len(search.found) == 10
    assert {trial[5] for trial in search.found} <= {"done", "stopped", "failed"}
    assert_once(search.log.events)


@pytest.mark.slow
@settings(max_examples=6)
@given(seed=SEEDS, of=st.sampled_from(["asha", "none"]))
def test_other_schedulers_survive_too(played: Any, outcomes: Any, seed: int, of: str) -> None:
    def scheduler(history: History) -> Any:
        return StoppingASHA(history, 4, 2) if of == "asha" else RunAll()

    outcome, options = outcomes(seed, 0.1), {"n_trials": 5, "units": 4, "scheduler": scheduler}
    whole = played(outcome, **options).play()
    events = whole.log.events
    for end in range(1, len(events) + 1, 3):
        assert played(outcome, events[:end], **options).play().found == whole.found


@settings(max_examples=15)
@given(seed=SEEDS, n_trials=st.integers(1, 6), more=st.integers(1, 12))
def test_with_more_trials_a_stopped_one_may_go_on(
    played: Any, outcomes: Any, seed: int, n_trials: int, more: int
) -> None:
    outcome = outcomes(seed)
    first = played(outcome, n_trials=n_trials).play()
    second = played(outcome, first.log.events, n_trials=n_trials + more)
    statuses = {trial.status for trial in second.history.trials.values()}
    assert "stopped" not in statuses
    second.play()
    for before, after in zip(first.found, second.found, strict=False):
        assert (after[0], after[1]) == (before[0], before[1])
        assert after[3].items() >= before[3].items()  # nothing is decided anew
        assert after[7].items() >= before[7].items()
    assert len(second.found) == n_trials + more


def test_an_extended_search_takes_up_a_trial_that_had_been_stopped(played: Any) -> None:
    def outcome(number: int, unit: int) -> float:
        return 1.0 - number / 10

    asked: dict[str, Any] = {"units": 2, "eta": 2, "first": "random"}
    first = played(outcome, n_trials=3, **asked).play()
    assert [trial[5] for trial in first.found] == ["done", "stopped", "stopped"]
    second = played(outcome, first.log.events, n_trials=6, **asked).play()
    assert [trial[5] for trial in second.found] == ["done"] * 3 + ["stopped"] * 3


def test_what_cannot_be_promoted_stays_stopped_in_an_extended_search(played: Any) -> None:
    def asha(history: History) -> StoppingASHA:
        return StoppingASHA(history, 4, 2)

    def falling(number: int, unit: int) -> float:
        return 0.9 - number / 20

    first = played(falling, n_trials=6, scheduler=asha).play()
    stopped = [trial[0] for trial in first.found if trial[5] == "stopped"]
    assert len(stopped) == 5
    second = played(falling, first.log.events, n_trials=9, scheduler=asha)
    told = OptunaTpe(SMOKE, 0, 3)
    told.suggest(6, second.history)
    assert not [t for t in told.study.trials[:6] if not t.state.is_finished()]
    n_before = len(second.log.events)
    second.play()
    assert len(second.found) == 9
    assert not [e for e in second.log.events[n_before:] if e.get("trial") in stopped]


def test_a_score_that_is_no_number_stays_out_of_bounds_in_an_extended_search(played: Any) -> None:
    def lost(number: int, unit: int) -> float:
        return math.nan if number == 1 else 0.5

    first = played(lost, n_trials=3).play()
    second = played(lost, first.log.events, n_trials=6).play()
    assert [first.history.trials[1].status, second.history.trials[1].status] == ["stopped"] * 2
    again = second.log.events[len(first.log.events) :]
    assert not [event for event in again if event.get("trial") == 1]
