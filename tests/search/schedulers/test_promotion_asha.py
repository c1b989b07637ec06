from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import Status
from search.schedulers.base import Decision
from search.schedulers.promotion_asha import PromotionASHA
from search.schedulers.rungs import rungs
from tests.search.schedulers.scheduler_contract import (
    SEEDS,
    SHAPES,
    MakeScheduler,
    SchedulerContract,
    Search,
    Shape,
    advance,
)


def promotion_asha(history: History, shape: Shape) -> PromotionASHA:
    own = shape
    return PromotionASHA(history, own.units, own.eta, own.n_trials, own.brackets, own.seed)


class TestPromotionASHA(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return promotion_asha


def rungs_of(n_trials: int, units: int, eta: int, brackets: int = 1) -> Search:
    return Search(promotion_asha, Shape(units, eta, n_trials, brackets))


@settings(max_examples=25)
@given(seed=SEEDS, shape=SHAPES)
def test_one_runs_to_its_end_unless_all_fail(seed: int, shape: Shape) -> None:
    search, draw = Search(promotion_asha, shape), random.Random(seed)
    while advance(search, draw, p_nan=0.2):
        pass
    if not search.with_status("done"):
        for trial in search.history.trials.values():
            assert trial.status == "failed" or trial.score == -math.inf


def test_what_a_killed_driver_decided_and_did_not_carry_out_stays_decided() -> None:
    search = rungs_of(2, 2, 2)
    done, stopped = search.add(), search.add()
    done.status, done.decided[1], done.promoted = "done", "pause", {1}
    done.reports = {1: {"score": 0.9}, 2: {"score": 0.9}}
    stopped.reports[1], stopped.decided[1] = {"score": 0.1}, "stop"  # and still `running`
    assert promotion_asha(search.history, search.shape).unpromotable() == []
    assert promotion_asha(search.history, search.shape).next_promotion(draining=True) is None


@settings(max_examples=20)
@given(seed=SEEDS, shape=SHAPES, slots=st.integers(1, 3))
def test_nobody_waits_until_the_end_who_cannot_be_promoted(
    played: Any, outcomes: Any, seed: int, shape: Shape, slots: int
) -> None:
    own = {"n_trials": shape.n_trials, "units": shape.units, "eta": shape.eta}
    search = played(outcomes(seed), **own, brackets=shape.brackets)
    events = search.play(slots, seed).log.events
    reasons = {event["reason"] for event in events if event["event"] == "stopped"}
    assert "nothing can be promoted any more" not in reasons


def test_nobody_is_unpromotable_before_one_is_done() -> None:
    """The best of those that wait may fail when it goes on; then the next is tried."""
    search = rungs_of(2, 2, 2)
    for score in (0.9, 0.1):
        search.report(search.add(), 1, score)
    assert search.close() == []
    first = search.promote()
    assert first is not None
    assert (first.number, search.promote()) == (0, None)
    first.status = "failed"
    second = search.promote(draining=True)
    assert second is not None
    assert second.number == 1


def test_the_best_of_the_highest_rung_goes_first() -> None:
    search = rungs_of(20, 9, 2)
    trials = [search.add() for _ in range(8)]
    for trial in trials:
        search.report(trial, 1, trial.number / 10)
    # Each was the best so far, and from the second on that is enough.
    assert [t.decided[1] for t in trials] == ["pause"] + ["continue"] * 7
    for number in (7, 1, 5):
        search.report(trials[number], 2, number / 10)
    assert [trials[n].decided[2] for n in (7, 1, 5)] == ["pause"] * 3
    trials.append(search.add())
    search.report(trials[8], 1, 0.55)
    assert trials[8].decided[1] == "pause"  # the one of the higher rung comes first
    assert search.scheduler.next_promotion(draining=False) == (
        trials[7],
        2,
        Decision("continue", 1, 3),
    )
    assert search.scheduler.next_promotion(draining=False) == (
        trials[8],
        1,
        Decision("continue", 3, 9),
    )
    assert search.scheduler.next_promotion(draining=False) is None


def test_equal_scores_are_ranked_by_number() -> None:
    search = rungs_of(9, 9, 3)
    decisions = [search.report(search.add(), 1, 0.5) for _ in range(3)]
    assert decisions == [Decision("pause", n, n) for n in (1, 2, 3)]
    promoted = search.promote()
    assert promoted is not None
    assert promoted.number == 0


def test_what_is_no_number_stops_and_counts_for_nothing() -> None:
    search = rungs_of(9, 4, 2)
    assert search.report(search.add(), 1, 0.5) == Decision("pause", 1, 1)
    assert search.report(search.add(), 1, None) == Decision("stop", 2, 2)
    assert promotion_asha(search.history, search.shape).next_promotion(draining=False) is None
    assert search.scheduler.next_promotion(draining=False) is None


def test_units_between_rungs_are_no_rungs() -> None:
    search = rungs_of(3, 9, 3, 2)
    brackets = {search.add().bracket for _ in range(40)}
    assert brackets == {0, 1}
    for trial in search.history.trials.values():
        found = {u for u in range(1, 10) if search.report(trial, u, 0.5) is not None}
        assert found == ({1, 3} if trial.bracket == 0 else {3})


@pytest.mark.parametrize(
    ("units", "eta", "brackets"), [(9, 3, 2), (9, 3, 3), (8, 2, 3), (10, 3, 3)]
)
def test_brackets_have_the_shares_of_hyperband(units: int, eta: int, brackets: int) -> None:
    """Algorithm 1: bracket s has (s_max + 1) / (s + 1) eta^s trials, rounded up there."""
    asha = PromotionASHA(History(), units, eta, 0, brackets, 5)
    s_max = len(rungs(units, eta)) - 1
    sizes = [(s_max + 1) / (s + 1) * eta**s for s in range(s_max, s_max - brackets, -1)]
    shares = np.cumsum(sizes) / sum(sizes)
    draws = [random.Random(f"5 bracket {number}").random() for number in range(500)]
    assert [asha.bracket(number) for number in range(500)] == np.searchsorted(
        shares, draws, side="right"
    ).tolist()


def test_one_that_still_waits_below_may_make_room_for_another_above() -> None:
    """All eight reached rung 1, and the fourth of them may still follow the three promoted ones."""
    search = rungs_of(8, 4, 2)
    for score in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2):
        trial = search.add()
        trial.reports, trial.decided, trial.status = {1: {"score": score}}, {1: "pause"}, "paused"
    done, second, third, fourth, *others = search.history.trials.values()
    for trial, score in ((done, 0.9), (second, 0.5), (third, 0.1)):
        trial.promoted.add(1)
        trial.reports[2], trial.decided[2] = {"score": score}, "pause"
    done.reports[4], done.status = {"score": 0.9}, "done"
    done.promoted.add(2)
    search.restart()
    assert search.close() == [*reversed(others), third]
    assert search.promote() is fourth
    search.report(fourth, 2, 0.0)
    assert search.promote() is second


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_trial_that_still_saves_its_checkpoint_is_promoted_once_it_has_paused(
    status: Status, restarts: bool
) -> None:
    search = rungs_of(9, 4, 2)
    first, second = search.add(), search.add()
    assert search.report(first, 1, 0.9) == Decision("pause", 1, 1)
    first.status = status
    if restarts:
        search.restart()
    assert search.report(second, 1, 0.5) == Decision("pause", 2, 2)
    assert search.promote() is None
    first.status = "paused"
    assert search.promote() is first


def test_the_default_takes_no_place_away_and_its_result_counts() -> None:
    """Of three results one may go on: the best beside the default."""
    search = rungs_of(9, 9, 3)
    default, *others = [search.add("default"), search.add(), search.add()]
    assert search.report(default, 1, 0.9) == Decision("continue", 1, 1)
    assert search.report(others[0], 1, 0.5) == Decision("pause", 2, 2)
    assert search.report(others[1], 1, 0.4) == Decision("pause", 3, 3)
    assert search.promote() is others[0]
    assert search.promote() is None


def test_a_default_that_an_older_driver_let_pause_goes_on_first() -> None:
    search = rungs_of(9, 9, 3)
    default, other = search.add("default"), search.add()
    default.reports[1], default.decided[1], default.status = {"score": 0.1}, "pause", "paused"
    search.restart()
    assert search.report(other, 1, 0.5) == Decision("pause", 1, 2)
    assert search.close() == []
    assert search.promote() is default
    search.restart()
    assert search.promote() is None


def test_one_beside_the_default_runs_to_its_end() -> None:
    search = rungs_of(2, 2, 3)
    default, other = search.add("default"), search.add()
    search.report(default, 1, 0.9)
    search.report(other, 1, 0.1)
    default.reports[2], default.status = {"score": 0.9}, "done"
    assert search.close() == []
    assert search.promote() is None
    assert search.promote(draining=True) is other
