from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.events import VERSION, Event, EventLog, read_events
from search.log.history import History, Journal
from search.log.trial import Status, TrialRecord
from tests.search.log_lines import CONFIG, ended, event, reported, suggested
from trainable.errors import InputError


def test_reports_are_in_the_order_of_the_log() -> None:
    events = [suggested(0), suggested(1), reported(1, 3.0, 1, 0.5), reported(0, 2.0, 1, 0.4)]
    events += [ended(0, 4.0, "stopped"), reported(1, 5.0, 2, None)]
    assert History(events).reports == [(1, 1), (0, 1), (1, 2)]


def test_a_trial_is_what_its_events_say() -> None:
    history = History(
        [
            event("search", 100.0, version=VERSION, n_trials=3),
            suggested(0, 110.0),
            suggested(1, 111.0),
            event("started", 112.0, trial=0, id="ab", unit=0),
            reported(0, 120.0, 1, 0.5),
            event("saved", 121.0, trial=0, unit=1, path="a/1"),
            event("decided", 122.0, trial=0, unit=1, decision="pause", rank=1, among=1),
            event("paused", 123.0, trial=0, unit=1),
            event("cost", 124.0, trial=0, seconds=12.0, cpus=1.0, gpus=0.0, node="n"),
            event("promoted", 125.0, trial=0, unit=1, rank=1, among=3),
            event("started", 126.0, trial=0, id="cd", unit=1),
            reported(0, 130.0, 2, 0.6),
            event("saved", 131.0, trial=0, unit=2, path="c/2"),
            event("deleted", 131.0, trial=0, unit=1, path="a/1"),
            event("cost", 132.0, trial=0, seconds=6.0, cpus=1.0, gpus=0.0, node="n"),
            ended(0, 133.0, "done"),
            event("closed", 140.0, reason=""),
        ]
    )
    first, second = history.trials.values()
    assert (history.n_trials, history.header["time"]) == (3, 100.0)
    assert (first.number, first.id, first.status, first.error) == (0, "cd", "done", None)
    assert (first.params, first.config, first.bracket) == ({"lr": 0.1}, CONFIG, 1)
    assert first.reports == {1: {"score": 0.5}, 2: {"score": 0.6}}
    assert (first.decided, first.promoted) == ({1: "pause"}, {1})
    assert first.checkpoints == {2: "c/2"}
    assert (first.started, first.ended, first.slot_seconds) == (110.0, 133.0, 18.0)
    assert (first.units, first.score, first.score_at(1), first.origin) == (2, 0.6, 0.5, "random")
    assert (second.status, second.is_open, second.started) == ("running", True, 111.0)
    assert history.best is first


def extended(scheduler: str, *later: Event, n_trials: int = 2) -> TrialRecord:
    """Return what is known of one trial after the search was extended to so many."""
    header = event("search", version=VERSION, n_trials=1, options={"scheduler": scheduler})
    resumed = event("resumed", n_trials=n_trials)
    history = History([header, suggested(0), *later, resumed])
    assert history.n_over == history.trials[0].is_over
    return history.trials[0]


@pytest.mark.parametrize(
    ("scheduler", "decision", "score", "status"),
    [
        ("promotion-asha", "pause", 0.5, "paused"),
        ("promotion-asha", "stop", 0.5, "paused"),
        ("promotion-asha", "stop", None, "stopped"),  # stays a violated constraint
        ("asha", "stop", 0.5, "stopped"),
        ("asha", "stop", None, "stopped"),
    ],
)
def test_more_trials_open_what_the_scheduler_could_promote(
    scheduler: str, decision: str, score: float | None, status: Status
) -> None:
    later = [
        reported(0, 1.0, 1, score),
        event("decided", trial=0, unit=1, decision=decision, rank=1, among=1),
        event("stopped", trial=0, unit=1, reason=""),
        ended(0, 1.0, "stopped"),
    ]
    trial = extended(scheduler, *later)
    assert (trial.status, trial.is_closed) == (status, status == "stopped")
    same = extended(scheduler, *later, n_trials=1)
    assert (same.status, same.is_closed) == ("stopped", True)


def test_the_last_decision_counts() -> None:
    paused = event("decided", trial=0, unit=1, decision="pause", rank=1, among=1)
    stopped = event("decided", trial=0, unit=3, decision="stop", rank=1, among=1)
    reports = [reported(0, 1.0, 1, 0.5), reported(0, 1.0, 3, None)]
    end = ended(0, 1.0, "stopped")
    assert extended("promotion-asha", reports[0], paused, *reports[1:], stopped, end).status == (
        "stopped"
    )


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_more_trials_open_nothing_that_was_not_stopped(status: Status) -> None:
    paused = event("decided", trial=0, unit=1, decision="pause", rank=1, among=1)
    later = [reported(0, 1.0, 1, 0.5), paused, ended(0, 1.0, status)]
    assert extended("promotion-asha", *later).status == status


def held(*, resumed: bool, header: dict[str, float]) -> History:
    """Return a search whose driver was killed, or lives, with two of three slots held."""
    events = [event("search", 100.0, version=VERSION, n_trials=3, **header)]
    for number in range(3):
        events += [suggested(number, 105.0), event("started", 110.0, trial=number, id="a", unit=0)]
    events += [
        event("cost", 120.0, trial=0, seconds=10.0, cpus=4.0, gpus=0.5, node="n"),
        event("started", 130.0, trial=1, id="a", unit=0),  # its worker was lost
        reported(2, 150.0, 1, 0.5),
    ]
    if resumed:
        cost = {"cpus": 2.0, "gpus": 0.0}
        events += [
            event("resumed", 900.0, n_trials=3, **cost),
            event("started", 910.0, trial=1, id="b", unit=0),
            event("cost", 911.0, trial=1, seconds=1.0, node="n", **cost),
        ]
    return History(events)


def test_a_killed_driver_held_its_slots_to_its_last_event() -> None:
    header = {"cpus": 4.0, "gpus": 0.5}
    lives, resumed = (held(resumed=known, header=header) for known in (False, True))
    assert [t.slot_seconds for t in lives.trials.values()] == [10.0, 0.0, 0.0]
    assert [t.slot_since for t in lives.trials.values()] == [None, 110.0, 110.0]
    assert [t.slot_seconds for t in resumed.trials.values()] == [10.0, 41.0, 40.0]
    assert [t.device_seconds for t in resumed.trials.values()] == [5.0, 22.0, 20.0]
    assert [t.slot_since for t in resumed.trials.values()] == [None, None, None]


def test_where_the_first_line_does_not_say_what_a_slot_has_the_last_cost_does() -> None:
    resumed = held(resumed=True, header={})
    assert [t.device_seconds for t in resumed.trials.values()] == [5.0, 22.0, 20.0]


@pytest.mark.parametrize("seconds", [0.0, 0.5, 7.0])
def test_a_slot_that_was_held_for_a_moment_costs_a_moment(seconds: float) -> None:
    events = [event("search", 1.0, version=VERSION, n_trials=1, cpus=2.0, gpus=0.0), suggested(0)]
    events += [event("started", 10.0, trial=0, id="a", unit=0)]
    events += [event("saved", 10.0 + seconds, trial=0, unit=0, path="a/0")]
    (trial,) = History([*events, event("resumed", 99.0, n_trials=1)]).trials.values()
    assert (trial.slot_seconds, trial.device_seconds) == (seconds, 2 * seconds)


LIMITED = event("limited", 5.0, reason="little gain", min_gain=0.01)


@pytest.mark.parametrize(
    ("n_trials", "options", "stays"),
    [
        (3, {"min_gain": 0.01}, True),
        (4, {"min_gain": 0.01}, False),
        (2, {"min_gain": 0.01}, False),
        (3, {"min_gain": 0.02}, False),
        (3, {"min_gain": None}, False),
        (3, {}, False),
    ],
)
def test_a_limit_holds_until_a_driver_asks_for_something_else(
    n_trials: int, options: dict[str, Any], stays: bool
) -> None:
    begun = event("search", version=VERSION, n_trials=3)
    assert History([begun]).limited is None
    assert History([begun, LIMITED]).limited is LIMITED
    resumed = event("resumed", 6.0, n_trials=n_trials, options=options)
    history = History([begun, LIMITED, resumed])
    assert (history.limited, history.n_trials) == (LIMITED if stays else None, n_trials)


@pytest.mark.parametrize(("min_gain", "status"), [(0.01, "stopped"), (None, "paused")])
def test_trials_that_a_limit_stopped_may_go_on_without_it(
    min_gain: float | None, status: Status
) -> None:
    later = [
        suggested(0),
        reported(0, 1.0, 1, 0.5),
        event("decided", trial=0, unit=1, decision="pause", rank=1, among=1),
        LIMITED,
        event("stopped", 5.0, trial=0, unit=1, reason=""),
        ended(0, 5.0, "stopped"),
    ]
    header = event("search", version=VERSION, n_trials=3, options={"scheduler": "promotion-asha"})
    resumed = event("resumed", 6.0, n_trials=3, options={"min_gain": min_gain})
    history = History([header, *later, resumed])
    assert history.trials[0].status == status
    assert history.n_over == history.trials[0].is_over


def test_seconds_of_a_unit_are_the_median_of_what_is_known() -> None:
    history = History()
    assert math.isnan(history.unit_seconds())
    for number, seconds in enumerate([1.0, 2.0, 9.0]):
        trial = history.trials[number] = TrialRecord(number, {}, {}, 0.0, 0.0)
        trial.reports = {1: {"train_seconds": 99.0, "eval_seconds": 99.0}}
        trial.reports[2] = {"train_seconds": seconds, "eval_seconds": None}
    assert history.unit_seconds() == 2.0
    failed = history.trials[3] = TrialRecord(3, {}, {}, 0.0, 0.0)
    failed.reports = {1: {"train_seconds": None, "eval_seconds": None}}
    assert history.unit_seconds() == 2.0


def test_a_log_that_lost_a_suggestion_is_refused_with_what_it_names() -> None:
    with pytest.raises(InputError, match=r"has `reported` of trial 1 and no line that suggests"):
        History([suggested(0), reported(1, 1.0, 1, 0.5)])


def test_a_log_of_another_version_is_refused() -> None:
    with pytest.raises(InputError, match=rf"version 1, this program reads {VERSION}"):
        History([event("search", version=1, n_trials=1)])


def test_imported_trials_are_no_trials_of_this_search() -> None:
    fields = {"params": {"lr": 0.2}, "run_config": CONFIG.to_dict()}
    history = History(
        [event("imported", reports={"1": {"score": 0.5}, "9": {"score": 0.9}}, **fields)]
    )
    (trial,) = history.imported
    assert (trial.number, trial.status, trial.score_at(9)) == (-1, "done", 0.9)
    assert (history.trials, history.best) == ({}, None)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), n_slots=st.integers(1, 4))
def test_what_the_driver_knows_is_what_the_log_says(
    played: Any, outcomes: Any, seed: int, n_slots: int
) -> None:
    search = played(outcomes(seed, 0.1, 0.1)).play(n_slots, seed)
    again = History(search.log.events)
    assert again.trials == search.history.trials
    assert again.n_over == sum(trial.is_over for trial in again.trials.values())
    assert (again.header, again.n_trials) == (
        search.history.header,
        search.history.n_trials,
    )


def test_a_journal_writes_before_it_takes_note(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    journal = Journal(History(), log)
    written = journal.write("suggested", **{k: v for k, v in suggested(0).items() if k != "event"})
    log.close()
    assert read_events(path) == [written]
    with pytest.raises(ValueError, match="closed file"):
        journal.write("paused", trial=0, unit=1)
    assert journal.history.trials[0].status == "running"


def test_a_journal_without_a_log_keeps_the_history_only() -> None:
    journal = Journal(History([suggested(0)]))
    journal.write("reported", trial=0, unit=1, metrics={"score": math.nan}, failure="")
    assert journal.history.trials[0].reports == {1: {"score": None}}
