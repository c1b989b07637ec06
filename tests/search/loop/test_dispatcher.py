from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.events import Event
from search.log.history import History
from search.schedulers.run_all import RunAll
from search.searchers.base import params_key

SEEDS = st.integers(0, 10**6)
SHAPES = st.tuples(st.integers(1, 9), st.integers(2, 4))  # units, eta
ENDED = ("done", "stopped", "failed")


def flaky(seed: int, p_lost: float) -> Callable[[int, int], str]:
    """Return a machine that loses workers at random."""
    draw = random.Random(f"machine {seed}")

    def lost(number: int, unit: int) -> str:
        return draw.choice(["lost", "unsaved", "leaves"]) if draw.random() < p_lost else ""

    return lost


def breaking(when: dict[tuple[int, int], list[str]]) -> Callable[[int, int], str]:
    """Return a machine that loses the worker in these units, each as often as listed."""
    return lambda number, unit: when[number, unit].pop() if when.get((number, unit)) else ""


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    seed=SEEDS,
    shape=SHAPES,
    n_trials=st.integers(1, 12),
    n_slots=st.integers(1, 5),
    chances=st.tuples(*[st.sampled_from([0.0, 0.1, 0.4])] * 3),
)
def test_any_search_ends_and_every_trial_with_it(
    played: Any,
    outcomes: Any,
    seed: int,
    shape: tuple[int, int],
    n_trials: int,
    n_slots: int,
    chances: tuple[float, float, float],
) -> None:
    (units, eta), (p_failure, p_nan, p_lost) = shape, chances
    outcome = outcomes(seed, p_failure, p_nan)
    search = played(
        outcome,
        n_trials=n_trials,
        units=units,
        eta=eta,
        brackets=1 + seed % 2 if units > eta else 1,
        lost=flaky(seed, p_lost),
    ).play(n_slots, seed)
    trials = search.history.trials
    assert set(trials) == set(range(n_trials))
    assert all(trial.status in ENDED for trial in trials.values())
    events = search.log.events
    for trial in trials.values():
        own = [event for event in events if event.get("trial") == trial.number]
        assert own[0]["event"] == "suggested"
        assert "ended" in {event["event"] for event in own[-2:]}  # only its slot is paid later
        assert len(of_kind(own, "ended")) == 1
    assert len({params_key(trial.params) for trial in trials.values()}) == n_trials
    no_unit_twice(events)
    promotions_are_justified(events, eta, n_trials)
    able = [
        number
        for number in trials
        if all(isinstance(outcome(number, u), float) for u in range(1, units + 1))
        and all(math.isfinite(outcome(number, u)) for u in range(1, units))
    ]
    if able and not p_lost:
        assert any(trial.status == "done" for trial in trials.values())


def no_unit_twice(events: list[Event]) -> None:
    """A unit is reported again only where the run itself failed in it."""
    units = Counter((e["trial"], e["unit"]) for e in of_kind(events, "reported"))
    failed = {(e["trial"], e["unit"]) for e in of_kind(events, "reported") if e["failure"]}
    assert all(n == 1 or key in failed for key, n in units.items())
    decided = Counter((e["trial"], e["unit"]) for e in of_kind(events, "decided"))
    assert set(decided.values()) <= {1}


def promotions_are_justified(events: list[Event], eta: int, n_trials: int) -> None:
    """Whoever goes on from a rung was among its best 1/eta, or nothing else was left to do.

    But for the default, which always goes on and takes no place away from the others.
    """
    rungs: dict[tuple[int, int], dict[int, float]] = {}
    history = History()
    for event in events:
        history.apply(event)
        kind = event["event"]
        if kind not in ("decided", "promoted"):
            continue
        trial, unit = history.trials[event["trial"]], event["unit"]
        results = rungs.setdefault((trial.bracket, unit), {})
        if kind == "decided" and math.isfinite(trial.score_at(unit)):
            results[trial.number] = trial.score_at(unit)
        if kind == "decided" and event["decision"] != "continue":
            continue
        if trial.is_default:
            assert kind == "decided"
            continue
        ahead = [n for n, score in results.items() if score > results[trial.number]]
        assert event["rank"] > len(ahead)
        assert event["among"] == len(results)
        if sum(not history.trials[n].is_default for n in ahead) >= len(results) // eta:
            assert kind == "promoted"
            assert len(history.trials) == n_trials
            others = [t for t in history.trials.values() if t is not trial and not t.is_default]
            assert not any(t.status in ("done", "running") for t in others)


@pytest.mark.parametrize(("first", "promoted"), [("random", {1, 3}), ("default", set[int]())])
def test_a_lone_trial_runs_to_the_end(
    played: Any, outcomes: Any, first: str, promoted: set[int]
) -> None:
    search = played(outcomes(0), n_trials=1, units=9, eta=3, first=first).play()
    (trial,) = search.history.trials.values()
    assert (trial.status, trial.units, trial.promoted) == ("done", 9, promoted)
    assert set(search.trained.values()) == {1}


def test_the_log_tells_all_that_a_trial_goes_through(played: Any) -> None:
    events = played(lambda n, u: 0.5, n_trials=1, units=2, first="random").play().log.events
    first = "search suggested started reported decided saved cost paused"
    second = "promoted started reported saved cost ended"
    assert [event["event"] for event in events] == f"{first} {second}".split()
    assert [event["unit"] for event in of_kind(events, "started")] == [0, 1]
    assert events[4]["decision"] == "pause"


def test_a_trial_whose_worker_is_lost_goes_on_from_its_checkpoint(played: Any) -> None:
    lost = breaking({(0, 3): ["lost", "lost"]})
    search = played(lambda n, u: 0.5, n_trials=1, units=4, lost=lost).play()
    (trial,) = search.history.trials.values()
    assert (trial.status, trial.failures) == ("done", 0)
    assert search.trained == {(0, 1): 1, (0, 2): 1, (0, 3): 3, (0, 4): 1}
    assert [e["error"] for e in of_kind(search.log.events, "failed")] == ["lost: no worker"] * 2


@pytest.mark.parametrize("when", ["lost", "unsaved"])
def test_a_trial_that_loses_every_worker_fails_after_three(played: Any, when: str) -> None:
    search = played(lambda n, u: 0.5, n_trials=1, units=1, lost=lambda n, u: when).play()
    (trial,) = search.history.trials.values()
    assert len(of_kind(search.log.events, "failed")) == 3
    assert (trial.status, trial.error) == ("failed", f"{when}: no worker")


def test_what_was_decided_stays_so_where_the_worker_is_lost_before_it_saved(played: Any) -> None:
    """Else a paused trial would pass its rung without being promoted."""
    search = played(
        lambda n, u: 1 - n / 10,
        n_trials=3,
        units=2,
        eta=3,
        lost=breaking({(n, 1): ["unsaved"] for n in range(3)}),
        first="random",
    ).play()
    first = search.history.trials[0]
    assert first.decided == {1: "pause"}
    assert first.promoted == {1}
    assert [t.units for t in search.history.trials.values()] == [2, 1, 1]
    assert search.trained[0, 1] == 2  # its checkpoint never came


def test_a_checkpoint_of_a_repeated_unit_is_known_by_that_unit(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1, scheduler=lambda history: RunAll())
    dispatcher = search.dispatcher
    job = dispatcher.next_job("a")
    dispatcher.started("a")
    for unit in (1, 2):
        dispatcher.reported("a", unit, {"score": 0.5})
        dispatcher.saved("a", f"a/{unit}")
    dispatcher.left("a", 1.0, 0.0, "the node is gone")
    dispatcher.next_job("b")
    dispatcher.lost("b", "a/2", "torn")
    dispatcher.lost("b", "a/1", "torn")
    assert dispatcher.reported("b", 1, {"score": 0.5})
    dispatcher.saved("b", "b/1")
    assert job.trial.checkpoints == {1: "b/1"}


def test_trials_that_lost_their_slots_go_on_in_that_order_and_before_new_ones(played: Any) -> None:
    dispatcher = played(lambda n, u: 0.5, n_trials=4).dispatcher
    for id in ("a", "b", "c"):
        dispatcher.next_job(id)
        dispatcher.started(id)
    for id in ("b", "c", "a"):
        dispatcher.left(id, 1.0, 0.0, "the node is gone")
    numbers = [dispatcher.next_job(f"again {n}").trial.number for n in range(4)]
    assert numbers == [1, 2, 0, 3]


@pytest.mark.parametrize("error", [None, "the node is gone"])
def test_a_trial_that_was_paused_does_not_pass_its_rung_by_leaving(
    played: Any, error: str | None
) -> None:
    dispatcher = played(lambda n, u: 0.5, n_trials=3, first="random").dispatcher
    trial = dispatcher.next_job("a").trial
    dispatcher.started("a")
    assert not dispatcher.reported("a", 1, {"score": 0.5})
    dispatcher.leaving("a", 1, "spot notice: terminate")
    dispatcher.left("a", 1.0, 0.0, error)
    assert trial.status == "paused"
    assert list(dispatcher.queue.waiting) == []


def test_a_run_that_failed_is_over_whatever_its_machine_does_then(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1)
    trial = search.dispatcher.next_job("a").trial
    search.dispatcher.started("a")
    search.dispatcher.reported("a", 1, {"score": -1 / 3}, "RunFailed: the loss is nan")
    search.dispatcher.left("a", 1.0, 0.0, "the node is gone")
    assert (trial.status, trial.error) == ("failed", "RunFailed: the loss is nan")
    assert not of_kind(search.log.events, "failed")


def test_an_interrupted_search_pays_for_its_slots_and_ends_each_trial_once(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=2)
    search.dispatcher.next_job("a")
    search.dispatcher.started("a")
    search.dispatcher.interrupt(2.0, 0.5)
    (cost,) = of_kind(search.log.events, "cost")
    assert (cost["trial"], cost["cpus"], cost["gpus"], cost["seconds"] > 0) == (0, 2.0, 0.5, True)
    again = played(lambda n, u: 0.5, search.log.events, n_trials=2)
    again.dispatcher.settle()
    again.dispatcher.interrupt(2.0, 0.5)  # before the trial had another slot
    assert again.log.events == search.log.events


def test_a_driver_settles_what_a_killed_one_heard_of(played: Any) -> None:
    """It was killed before it decided on 0, wrote down the end of 1, or closed 2."""
    search = played(lambda n, u: 0.5, n_trials=4, first="random")
    for id in "abcd":
        search.dispatcher.next_job(id)
        search.dispatcher.started(id)
    earlier = search.log.events
    for number, score in ((1, 0.5), (2, 0.4), (0, 0.3)):
        metrics = {"score": score}
        search.journal.write("reported", trial=number, unit=1, metrics=metrics, failure="")
    search.journal.write("stopped", trial=1, unit=1, reason="")
    search.journal.write("decided", trial=2, unit=1, decision="pause", rank=1, among=1)
    again, closed = played(lambda n, u: 0.5, earlier, n_trials=4), list[int]()
    again.dispatcher.on_closed = lambda trial: closed.append(trial.number)
    again.dispatcher.settle()
    written = again.log.events[len(earlier) :]
    kinds = [(event["event"], event["trial"], event.get("status")) for event in written]
    assert [(*own[:2],) for own in kinds] == [
        *(("decided", 0), ("paused", 0), ("paused", 2), ("ended", 1))
    ]
    assert kinds[-1] == ("ended", 1, "stopped")
    assert sorted(closed) == [0, 1, 2]
    assert [trial.number for trial in again.dispatcher.queue.waiting] == [3]
    again.dispatcher.settle()  # there is nothing left to settle
    assert len(again.log.events) == len(earlier) + len(written)


def test_an_interrupted_search_names_what_was_under_way(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=3)
    search.dispatcher.next_job("a")
    search.dispatcher.next_job("b")
    search.dispatcher.reported("a", 1, {"score": 0.5})
    search.dispatcher.left("b", 1.0, 0.0, "the node is gone")  # waits for another slot
    search.dispatcher.interrupt(1.0, 0.0)
    assert [t.status for t in search.history.trials.values()] == ["interrupted"] * 2
    assert search.dispatcher.jobs == {}


def test_a_trial_that_has_failed_stays_failed_if_the_search_is_interrupted(played: Any) -> None:
    """Its job saves a checkpoint, or has not left its slot yet."""
    search = played(lambda n, u: 0.5, n_trials=2, units=3)
    search.dispatcher.next_job("a")
    search.dispatcher.started("a")
    search.dispatcher.reported("a", 1, {"score": -1 / 3}, "RunFailed: the loss is nan")
    search.dispatcher.interrupt(1.0, 0.0)
    trial = search.history.trials[0]
    assert (trial.status, trial.error) == ("failed", "RunFailed: the loss is nan")
    again = played(lambda n, u: 0.5, search.log.events, n_trials=2, units=3)
    again.dispatcher.settle()
    assert not again.dispatcher.queue.waiting


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=SEEDS, shape=SHAPES, n_trials=st.integers(1, 8))
def test_trials_that_leave_in_time_repeat_no_unit_and_change_no_decision(
    played: Any, outcomes: Any, seed: int, shape: tuple[int, int], n_trials: int
) -> None:
    (units, eta), outcome = shape, outcomes(seed, 0.1, 0.1)
    draw = random.Random(f"notices {seed}")

    def lost(number: int, unit: int) -> str:
        return "leaves" if draw.random() < 0.5 else ""

    asked: dict[str, Any] = {"n_trials": n_trials, "units": units, "eta": eta}
    calm = played(outcome, **asked).play()
    search = played(outcome, **asked, lost=lost).play()
    assert search.found == calm.found
    assert search.trained == calm.trained
    events = search.log.events
    assert not of_kind(events, "failed")
    assert all(trial.failures == 0 for trial in search.history.trials.values())


def test_a_trial_may_leave_any_number_of_machines(played: Any, outcomes: Any) -> None:
    notices = {(0, 1): ["leaves"] * 20}
    asked = {"n_trials": 1, "units": 2, "scheduler": lambda history: RunAll()}
    search = played(outcomes(0), **asked, lost=breaking(notices)).play()
    assert search.history.trials[0].status == "done"
    events = search.log.events
    assert len(of_kind(events, "leaving")) == 20
    assert [e["unit"] for e in of_kind(events, "started")] == [0] * 21
    assert len(of_kind(events, "cost")) == 21


def test_a_job_goes_on_from_where_the_last_one_left(played: Any, outcomes: Any) -> None:
    search = played(outcomes(0), n_trials=1, units=3, scheduler=lambda history: RunAll())
    dispatcher = search.dispatcher
    job = dispatcher.next_job("a")
    trial = job.trial
    told: list[tuple[Any, ...]] = []
    dispatcher.on_saved = lambda *saved: told.append(saved)
    dispatcher.on_left = lambda *left: told.append(left)
    dispatcher.reported("a", 1, {"score": 0.5})
    dispatcher.saved("a", "a/1")
    dispatcher.leaving("a", 1, "spot notice: terminate")
    dispatcher.saved("a", "a/2")
    dispatcher.left("a", 1.0, 0.0, "NodeLeaving: the trial has left")
    assert told == [(trial, None), (trial, "a/1"), (trial,)]
    assert (trial.status, trial.notice) == ("running", "spot notice: terminate")
    assert (trial.checkpoints, trial.units) == ({1: "a/2"}, 1)
    assert dispatcher.next_job("b").unit == 1
    dispatcher.started("b")
    assert trial.notice == ""


def test_an_actor_that_dies_while_it_leaves_is_no_failure(played: Any, outcomes: Any) -> None:
    search = played(outcomes(0), n_trials=1, units=3)
    dispatcher = search.dispatcher
    trial = dispatcher.next_job("a").trial
    dispatcher.started("a")
    dispatcher.leaving("a", 0, "spot notice: terminate")
    dispatcher.failed("a", "RayActorError: its node was drained")  # Tune repeats it by itself
    assert trial.failures == 0
    dispatcher.failed("a", "RayActorError: once more")
    assert trial.failures == 1


def test_a_trial_that_has_just_left_when_the_search_ends_is_interrupted(
    played: Any, outcomes: Any
) -> None:
    search = played(outcomes(0), n_trials=1, units=3)
    dispatcher = search.dispatcher
    trial = dispatcher.next_job("a").trial
    dispatcher.started("a")
    dispatcher.leaving("a", 0, "spot notice: terminate")
    dispatcher.saved("a", "a/1")
    dispatcher.left("a", 1.0, 0.0)  # a limit was reached
    assert (trial.status, trial.checkpoints) == ("interrupted", {0: "a/1"})


def say_everything(dispatcher: Any, id: str, unit: int) -> None:
    """Tell a dispatcher all that Tune may say of a job, which has ended."""
    dispatcher.started(id)
    assert not dispatcher.reported(id, unit, {"score": 0.9})
    assert not dispatcher.reported(id, unit, {"score": -1 / 3}, "RunFailed: the loss is nan")
    dispatcher.leaving(id, unit, "spot notice: terminate")
    dispatcher.saved(id, f"{id}/late")
    dispatcher.lost(id, f"{id}/{unit}", "torn")
    dispatcher.failed(id, "no worker")
    dispatcher.left(id, 1.0, 0.0)
    dispatcher.left(id, 1.0, 0.0, "no worker")


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        (0.5, None, "paused"),
        ("RunFailed: the loss is nan", None, "failed"),
        (0.5, "no worker", "paused"),
        (None, "no worker", "running"),
    ],
)
def test_what_tune_says_late_or_twice_changes_nothing(
    played: Any, outcome: float | str | None, error: str | None, status: str
) -> None:
    search = played(lambda n, u: 0.5, n_trials=3, first="random")
    dispatcher = search.dispatcher
    trial = dispatcher.next_job("a").trial
    dispatcher.started("a")
    failure = outcome if isinstance(outcome, str) else ""
    if outcome is not None:
        dispatcher.reported("a", 1, {"score": 0.5}, failure)
        before = list(search.log.events)
        assert not dispatcher.reported("a", 1, {"score": 0.5}, failure)
        assert not dispatcher.reported("a", 2, {"score": 0.9})  # it was told to end
        assert search.log.events == before
    dispatcher.left("a", 1.0, 0.0, error)
    assert trial.status == status
    before, waiting = list(search.log.events), list(dispatcher.queue.waiting)
    say_everything(dispatcher, "a", 1)
    say_everything(dispatcher, "unheard of", 1)
    assert search.log.events == before
    assert (list(dispatcher.queue.waiting), dispatcher.jobs) == (waiting, {})


def test_late_news_of_a_job_does_not_touch_the_next_job_of_its_trial(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1, scheduler=lambda history: RunAll())
    dispatcher = search.dispatcher
    trial = dispatcher.next_job("a").trial
    dispatcher.started("a")
    dispatcher.left("a", 1.0, 0.0, "the node is gone")
    assert dispatcher.next_job("b").trial is trial
    dispatcher.started("b")
    before = list(search.log.events)
    say_everything(dispatcher, "a", 1)
    assert search.log.events == before
    assert list(dispatcher.jobs) == ["b"]


def test_a_run_that_reported_its_last_unit_has_nothing_more_to_say(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1, units=1, scheduler=lambda history: RunAll())
    dispatcher = search.dispatcher
    dispatcher.next_job("a")
    assert not dispatcher.reported("a", 1, {"score": 0.5})
    before = list(search.log.events)
    for unit in (1, 2):
        assert not dispatcher.reported("a", unit, {"score": 0.9})
    assert search.log.events == before


def test_a_checkpoint_is_saved_and_a_notice_given_once(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1, scheduler=lambda history: RunAll())
    dispatcher, told = search.dispatcher, []
    dispatcher.on_saved = lambda *saved: told.append(saved)
    trial = dispatcher.next_job("a").trial
    dispatcher.reported("a", 1, {"score": 0.5})
    for _ in range(2):
        dispatcher.saved("a", "a/1")
    for _ in range(2):
        dispatcher.leaving("a", 1, "spot notice: terminate")
    kinds = Counter(event["event"] for event in search.log.events)
    assert (kinds["saved"], kinds["leaving"], told) == (1, 1, [(trial, None)])


def test_a_paused_trial_that_is_stopped_is_told_of_once_and_never_one_that_ran(
    played: Any, outcomes: Any
) -> None:
    search = played(outcomes(3), n_trials=8, units=4, eta=2)
    stopped, left, closed = list[int](), list[int](), list[int]()
    search.dispatcher.on_stopped = lambda trial: stopped.append(trial.number)
    search.dispatcher.on_left = lambda trial: left.append(trial.number)
    search.dispatcher.on_closed = lambda trial: closed.append(trial.number)
    search.play(3)
    of_trial: dict[int, list[str]] = {}
    for event in search.log.events[1:]:
        of_trial.setdefault(event["trial"], []).append(event["event"])
    ends = {number: kinds[-3:] for number, kinds in of_trial.items()}
    while_paused = [n for n, kinds in ends.items() if kinds == ["paused", "stopped", "ended"]]
    assert while_paused
    assert sorted(stopped) == sorted(while_paused)
    # Every trial that is over was told of, when it gave up its slot or when it was stopped.
    assert set(stopped) | set(left) == set(range(8))
    assert Counter(closed) == Counter(left) + Counter(stopped)
