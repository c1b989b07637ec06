from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import TrialRecord
from search.schedulers.base import Decision
from search.schedulers.promotion_asha import PromotionASHA
from search.schedulers.run_all import RunAll
from search.schedulers.rungs import rungs
from search.schedulers.stopping_asha import StoppingASHA

SEEDS = st.integers(0, 10**6)
SHAPES = st.sampled_from([(4, 2, 1), (9, 3, 1), (9, 3, 2), (10, 3, 3), (8, 2, 3)])


class Rungs:
    """Trials that go up the rungs of a scheduler, in a history that is written by hand."""

    def __init__(self, n_trials: int, units: int, eta: int, brackets: int = 1) -> None:
        self.history = History()
        self.shape = (units, eta, n_trials, brackets, 0)
        self.asha = self.rebuilt()

    def rebuilt(self) -> PromotionASHA:
        return PromotionASHA(self.history, *self.shape)

    def add(self) -> TrialRecord:
        number = len(self.history.trials)
        trial = TrialRecord(number, {}, {}, 0.0, 0.0, self.asha.bracket(number))
        self.history.trials[number] = trial
        return trial

    def report(self, trial: TrialRecord, unit: int, score: float | None) -> Decision | None:
        trial.reports[unit] = {"score": score}
        decision = self.asha.decide(trial, unit)
        if decision is not None:
            trial.decided[unit] = decision.action
            if decision.action != "continue":
                trial.status = "paused" if decision.action == "pause" else "stopped"
        return decision

    def promote(self, *, draining: bool = False) -> TrialRecord | None:
        found = self.asha.next_promotion(draining=draining)
        if found is None:
            return None
        trial, unit, _ = found
        trial.promoted.add(unit)
        trial.status = "running"
        return trial

    def close(self) -> list[TrialRecord]:
        unpromotable = self.asha.unpromotable()
        for trial in unpromotable:
            trial.status = "stopped"
        return unpromotable


def advance(search: Rungs, draw: random.Random, p_nan: float = 0.05) -> None:
    """Let one thing happen to a search: a trial begins, is promoted, or finishes a unit."""
    units, n_trials = search.shape[0], search.shape[2]
    running = [t for t in search.history.trials.values() if t.status == "running"]
    if not running or draw.random() < 0.4:
        if search.promote() is not None:
            return
        if len(search.history.trials) < n_trials:
            search.add()
        elif not running:
            search.promote(draining=True)
        return
    trial = draw.choice(running)
    unit = trial.units + 1
    if draw.random() < 0.03:
        trial.status = "failed"
    elif unit >= units:
        trial.reports[unit] = {"score": draw.random()}
        trial.status = "done"
    else:
        search.report(trial, unit, None if draw.random() < p_nan else round(draw.random(), 1))
    search.close()


@settings(max_examples=40)
@given(seed=SEEDS, shape=SHAPES, n_trials=st.integers(1, 20))
def test_made_anew_from_the_history_it_decides_as_the_one_that_lived_through_it(
    seed: int, shape: tuple[int, int, int], n_trials: int
) -> None:
    lived, reborn = (Rungs(n_trials, *shape) for _ in range(2))
    draws = [random.Random(seed), random.Random(seed)]
    for _ in range(20 * n_trials):
        reborn.asha = reborn.rebuilt()
        for search, draw in zip((lived, reborn), draws, strict=True):
            advance(search, draw)
        assert reborn.history.trials == lived.history.trials


def test_what_a_killed_driver_decided_and_did_not_carry_out_stays_decided() -> None:
    search = Rungs(2, 2, 2)
    done, stopped = search.add(), search.add()
    done.status, done.decided[1], done.promoted = "done", "pause", {1}
    done.reports = {1: {"score": 0.9}, 2: {"score": 0.9}}
    stopped.reports[1], stopped.decided[1] = {"score": 0.1}, "stop"  # and still `running`
    assert search.rebuilt().unpromotable() == []
    assert search.rebuilt().next_promotion(draining=True) is None


def one_done(search: Rungs) -> None:
    """Add a trial that ran to its end: before that, nobody is unpromotable."""
    units, eta, *_ = search.shape
    trial = search.add()
    trial.status, trial.reports = "done", {unit: {"score": 0.0} for unit in rungs(units, eta)}
    for unit in rungs(units, eta)[:-1]:
        trial.decided[unit] = "pause"
        trial.promoted.add(unit)


@pytest.mark.slow
@settings(max_examples=150)
@given(seed=SEEDS, shape=SHAPES, n_trials=st.integers(2, 14))
def test_nobody_is_unpromotable_who_might_still_be_promoted(
    seed: int, shape: tuple[int, int, int], n_trials: int
) -> None:
    """Note who is unpromotable and stop nobody; later none of them may be promoted.

    Scores mostly rise, so that many that were promoted are overtaken: more than 1/eta go on.
    """
    search, draw = Rungs(n_trials, *shape), random.Random(seed)
    one_done(search)
    unpromotable: set[int] = set()
    rising = draw.random()
    trials, levels = search.history.trials, rungs(*shape[:2])
    for step in itertools.count(1):
        unpromotable |= {trial.number for trial in search.rebuilt().unpromotable()}
        search.asha = search.rebuilt()
        running = [trial for trial in trials.values() if trial.status == "running"]
        if running and draw.random() < 0.6:
            trial = draw.choice(running)
            unit = levels[bisect_right(levels, trial.units)]
            score = float(step) if draw.random() < rising else draw.uniform(0, step)
            decision = search.report(trial, unit, score)
            if decision is None:
                trial.status = "running" if unit < levels[-1] else "done"
            elif decision.action == "stop":
                unpromotable.add(trial.number)
                trial.decided[unit], trial.status = "pause", "paused"
        elif draw.random() < 0.5 and len(trials) < n_trials:
            search.add()
        else:
            promoted = search.promote()
            assert promoted is None or promoted.number not in unpromotable
            if promoted is None and not running and len(trials) == n_trials:
                return


@settings(max_examples=20)
@given(seed=SEEDS, shape=SHAPES, n_trials=st.integers(1, 12), places=st.integers(1, 3))
def test_nobody_waits_until_the_end_who_cannot_be_promoted(
    played: Any, outcomes: Any, seed: int, shape: tuple[int, int, int], n_trials: int, places: int
) -> None:
    units, eta, brackets = shape
    search = played(outcomes(seed), n_trials=n_trials, units=units, eta=eta, brackets=brackets)
    events = search.play(places, seed).log.events
    reasons = {event["reason"] for event in events if event["event"] == "stopped"}
    assert "nothing can be promoted any more" not in reasons


def test_nobody_is_unpromotable_before_one_is_done() -> None:
    """The best of those that wait may fail when it goes on; then the next is tried."""
    search = Rungs(2, 2, 2)
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
    search = Rungs(20, 9, 2)
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
    assert search.asha.next_promotion(draining=False) == (trials[7], 2, Decision("continue", 1, 3))
    assert search.asha.next_promotion(draining=False) == (trials[8], 1, Decision("continue", 3, 9))
    assert search.asha.next_promotion(draining=False) is None


def test_equal_scores_are_ranked_by_number() -> None:
    search = Rungs(9, 9, 3)
    decisions = [search.report(search.add(), 1, 0.5) for _ in range(3)]
    assert decisions == [Decision("pause", n, n) for n in (1, 2, 3)]
    promoted = search.promote()
    assert promoted is not None
    assert promoted.number == 0


def test_what_is_no_number_stops_and_counts_for_nothing() -> None:
    search = Rungs(9, 4, 2)
    assert search.report(search.add(), 1, 0.5) == Decision("pause", 1, 1)
    assert search.report(search.add(), 1, None) == Decision("stop", 2, 2)
    assert search.rebuilt().next_promotion(draining=False) is None
    assert search.asha.next_promotion(draining=False) is None


def test_units_between_rungs_are_no_rungs() -> None:
    search = Rungs(3, 9, 3, 2)
    brackets = {search.add().bracket for _ in range(40)}
    assert brackets == {0, 1}
    for trial in search.history.trials.values():
        found = {u for u in range(1, 10) if search.report(trial, u, 0.5) is not None}
        assert found == ({1, 3} if trial.bracket == 0 else {3})


def test_brackets_have_the_shares_of_hyperband() -> None:
    asha = PromotionASHA(History(), 9, 3, 0, 2, 0)
    drawn = [asha.bracket(number) for number in range(3000)]
    assert drawn == [asha.bracket(number) for number in range(3000)]
    # 9 / 3 trials to 3 / 2.
    assert drawn.count(0) / 3000 == pytest.approx(2 / 3, abs=0.03)


def test_schedulers_that_never_pause_promote_nobody() -> None:
    for scheduler in (RunAll(), StoppingASHA(History(), 9, 3)):
        assert scheduler.next_promotion(draining=True) is None
        assert scheduler.unpromotable() == []
        assert scheduler.bracket(7) == 0
    assert RunAll().decide(TrialRecord(0, {}, {}, 0.0, 0.0), 1) is None
