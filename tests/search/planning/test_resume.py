from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from search.log.events import VERSION, Event
from search.log.history import History
from search.planning.plan import Plan
from search.planning.resume import changed_versions, check_resumable, header
from search.schedulers.run_all import RunAll
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.optuna_tpe import OptunaTpe
from tests.search.conftest import SMOKE
from trainable.errors import InputError

MakePlan = Callable[..., Plan]
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

    first = played(outcome, n_trials=3, units=2, eta=2).play()
    assert [trial[5] for trial in first.found] == ["done", "stopped", "stopped"]
    second = played(outcome, first.log.events, n_trials=6, units=2, eta=2).play()
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


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke", scheduler="promotion-asha")


def begun(plan: Plan, n_trials: int = 0, **changed: Any) -> Plan:
    """Return the plan of a later driver, of a search that another one began with this header."""
    now = header(plan)
    changed["options"] = {**now["options"], **changed.get("options", {})}
    event: Event = {"event": "search", "time": 0.0, "slots": 1, **now, **changed}
    history = History([json.loads(json.dumps(event))])
    for number in range(n_trials):
        given = {"trial": number, "params": {}, "run_config": {}, "bracket": 0, "origin": ""}
        history.apply({"event": "suggested", "time": 0.0, **given})
    return replace(plan, earlier=history)


def test_the_same_search_may_go_on(plan: Plan) -> None:
    check_resumable(begun(plan, n_trials=plan.n_trials))


def test_a_log_without_its_first_line_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="stopped before it began; start anew with another --name"):
        check_resumable(plan)


@pytest.mark.parametrize(
    ("changed", "name", "then"),
    [
        ({"data_fingerprint": "0ther"}, "data_fingerprint", '"0ther"'),
        ({"rungs": [1, 9]}, "rungs", "[1, 9]"),
        ({"units": 27}, "units", "27"),
        ({"options": {"searcher": "random"}}, "searcher", '"random"'),
        ({"options": {"scheduler": "asha"}}, "scheduler", '"asha"'),
        ({"options": {"eta": 4}}, "eta", "4"),
        ({"options": {"brackets": 2}}, "brackets", "2"),
        ({"options": {"budget": "9ep"}}, "budget", '"9ep"'),
        ({"options": {"encoder": "other"}}, "encoder", '"other"'),
        ({"options": {"precision": "bf16"}}, "precision", '"bf16"'),
        ({"options": {"seed": 5}}, "seed", "5"),
        ({"options": {"warm_start": "published"}}, "warm_start", '"published"'),
    ],
)
def test_what_differs_is_named_with_both_values(
    plan: Plan, changed: dict[str, Any], name: str, then: str
) -> None:
    with pytest.raises(InputError, match="the options that the search was started with") as caught:
        check_resumable(begun(plan, **changed))
    assert f"--resume: {name} of {plan.folder.uri} was {then}, now it is " in str(caught.value)


def test_a_searcher_that_this_version_no_longer_has_is_named(plan: Plan) -> None:
    """Its trials stay readable, and another search may learn from them."""
    then = begun(plan, n_trials=2, options={"searcher": "rung-tpe"})
    assert len(then.earlier.trials) == 2
    with pytest.raises(InputError) as caught:
        check_resumable(then)
    message = str(caught.value)
    assert "searcher of" in message
    assert 'was "rung-tpe", now it is "rung-gp"' in message
    assert "start another --name" in message


@pytest.mark.parametrize("name", ["time_limit", "max_concurrent", "checkpoint", "address"])
def test_limits_and_places_may_differ(plan: Plan, name: str) -> None:
    check_resumable(begun(plan, options={name: "something else"}))


def test_versions_that_changed_are_noted(plan: Plan) -> None:
    then = header(plan)["versions"]
    assert changed_versions(begun(plan).earlier) == []
    (note,) = changed_versions(begun(plan, versions={**then, "ray": "2.1.0", "gone": "1"}).earlier)
    assert note == f"the search began with ray 2.1.0, now {then['ray']}"


def test_a_space_that_changed_is_refused_param_by_param(plan: Plan) -> None:
    space = {"gone": {}, **header(plan)["space"]}
    lr = "multitask.optimization.lr"
    space[lr] = {**space[lr], "high": 0.5}
    del space["sts.pair"]
    with pytest.raises(InputError) as caught:
        check_resumable(begun(plan, space=space))
    assert str(caught.value).splitlines()[1:-1] == [
        "  sts.pair is new",
        "  gone is gone",
        f"  {lr} was 0.001 .. 0.5 (log), now it is 0.001 .. 0.01 (log)",
    ]
    assert f"--warm-start {plan.folder.uri}" in str(caught.value)


def test_not_every_param_of_another_space_is_listed(plan: Plan) -> None:
    space = {f"gone{k}": {} for k in range(20)} | header(plan)["space"]
    with pytest.raises(InputError, match=r"\n  and 12 more\n"):
        check_resumable(begun(plan, space=space))


def test_fewer_trials_than_were_begun_are_refused(plan: Plan) -> None:
    later = begun(plan, n_trials=5)
    check_resumable(replace(later, n_trials=5))
    with pytest.raises(InputError, match=r"--trials 4: .* has begun 5 already"):
        check_resumable(replace(later, n_trials=4))


def test_a_log_of_another_version_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match=rf"version 1, this program reads {VERSION}"):
        begun(plan, version=1)
