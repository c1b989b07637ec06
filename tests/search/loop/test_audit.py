from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.events import Event
from search.log.history import History
from search.schedulers.stopping_asha import StoppingASHA

SEEDS = st.integers(0, 10**6)
ASHA = {"promotion": None, "stopping": lambda history: StoppingASHA(history, 9, 3)}


def is_drawn(number: int, share: float) -> bool:
    return random.Random(f"0 audit {number}").random() < share


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


@pytest.mark.parametrize("asha", ASHA)
@settings(max_examples=8)
@given(seed=SEEDS, slots=st.integers(1, 4))
def test_exactly_the_drawn_ones_of_those_that_a_rung_stops_run_to_the_end(
    played: Any, outcomes: Any, asha: str, seed: int, slots: int
) -> None:
    own = {"n_trials": 20, "units": 9, "eta": 3, "scheduler": ASHA[asha]}
    search = played(outcomes(seed), **own, audit=0.3).play(slots, seed)
    trials = search.history.trials.values()
    audited = {trial.number for trial in trials if trial.is_audited}
    assert audited == {event["trial"] for event in of_kind(search.log.events, "audited")}
    stopped = {trial.number for trial in trials if trial.status == "stopped"}
    assert all(is_drawn(number, 0.3) for number in audited)
    assert not any(is_drawn(number, 0.3) for number in stopped)
    for trial in trials:
        if trial.is_audited:
            assert (trial.status, trial.units) == ("done", 9)
            assert max(trial.decided) == trial.audited_at  # it is in no higher rung
            assert trial.audited_at not in trial.promoted
    assert set(search.trained.values()) == {1}


@pytest.mark.parametrize("asha", ASHA)
def test_an_audit_changes_nothing_about_the_other_trials(
    played: Any, outcomes: Any, asha: str
) -> None:
    """The searcher of this search does not learn, so that only promotions could change."""
    own = {"n_trials": 30, "units": 9, "eta": 3, "scheduler": ASHA[asha]}
    without, with_audit = (played(outcomes(1), **own, audit=share).play() for share in (0.0, 0.4))
    audited = [trial.number for trial in with_audit.history.trials.values() if trial.is_audited]
    assert len(audited) > 3
    for before, after in zip(without.found, with_audit.found, strict=True):
        if before[0] in audited:
            assert before[5] == "stopped"
            assert before[3:5] == after[3:5]  # what was decided, and promoted
        else:
            assert before == after


def test_what_failed_or_has_no_score_is_not_audited(played: Any, outcomes: Any) -> None:
    outcome = outcomes(2, 0.2, 0.2)
    search = played(outcome, n_trials=30, units=9, eta=3, audit=1.0).play()
    trials = search.history.trials.values()
    assert any(trial.is_audited for trial in trials)
    assert all(math.isfinite(t.score_at(t.audited_at)) for t in trials if t.is_audited)
    assert all(t.score == -math.inf for t in trials if t.status == "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("asha", ASHA)
def test_a_search_with_audits_that_is_killed_anywhere_ends_as_one_that_was_not(
    played: Any, outcomes: Any, asha: str
) -> None:
    own = {"n_trials": 8, "units": 9, "eta": 3, "scheduler": ASHA[asha], "audit": 0.5}
    outcome = outcomes(4, 0.05, 0.05)
    whole = played(outcome, **own).play()
    events = whole.log.events
    assert len(of_kind(events, "audited")) >= 2
    for end in range(1, len(events) + 1, 2 if asha == "stopping" else 1):
        again = played(outcome, events[:end], **own).play()
        assert again.found == whole.found, f"cut after {end}: {events[end - 1]}"
        kinds = [
            [e["trial"] for e in of_kind(own, "audited")] for own in (again.log.events, events)
        ]
        assert kinds[0] == kinds[1]


def test_a_driver_that_is_killed_before_it_marks_a_stopped_trial_marks_it_later(
    played: Any,
) -> None:
    own = {"n_trials": 12, "units": 9, "eta": 3, "scheduler": ASHA["stopping"], "audit": 1.0}
    events = played(lambda n, u: 1 - n / 20, **own).play().log.events
    at = next(k for k, event in enumerate(events) if event["event"] == "audited")
    number = events[at]["trial"]
    assert (events[at - 1]["event"], events[at - 1]["decision"]) == ("decided", "stop")
    later = played(lambda n, u: 1 - n / 20, events[:at], **own)
    later.dispatcher.settle()
    assert later.history.trials[number].is_audited
    assert later.dispatcher.next_job("a").trial.number == number


def test_an_audited_trial_leads_only_once_it_has_run_to_its_end() -> None:
    metrics = [{"score": score} for score in (0.5, 0.4, 0.9)]
    history = History()
    for number in range(2):
        given_ = {"params": {}, "run_config": {}, "bracket": 0, "origin": "random"}
        history.apply({"event": "suggested", "time": 0.0, "trial": number, **given_})
    apply = [
        (0, "reported", {"unit": 1, "metrics": metrics[0], "failure": ""}),
        (1, "reported", {"unit": 1, "metrics": metrics[1], "failure": ""}),
        (1, "audited", {"unit": 1}),
        (1, "reported", {"unit": 2, "metrics": metrics[2], "failure": ""}),
    ]
    for number, kind, fields in apply:
        history.apply({"event": kind, "time": 0.0, "trial": number, **fields})
    assert history.best is history.trials[0]
    history.apply({"event": "ended", "time": 0.0, "trial": 1, "status": "done", "error": None})
    assert history.best is history.trials[1]
