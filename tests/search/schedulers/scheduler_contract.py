"""What every scheduler must do: the test class of each scheduler inherits these tests.

class TestMyScheduler(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda history, shape: MyScheduler(history, shape.units, shape.eta)
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import TrialRecord
from search.schedulers.base import Decision, Scheduler
from search.schedulers.rungs import rungs


@dataclass(frozen=True)
class Shape:
    """Arguments that a scheduler may need."""

    units: int
    eta: int
    n_trials: int
    brackets: int = 1
    seed: int = 0


MakeScheduler = Callable[[History, Shape], Scheduler]
SEEDS = st.integers(0, 10**6)
SHAPES = st.builds(
    lambda own, n_trials, seed: Shape(own[0], own[1], n_trials, own[2], seed),
    st.sampled_from([(4, 2, 1), (9, 3, 1), (9, 3, 2), (10, 3, 3), (8, 2, 3)]),
    st.integers(1, 20),
    SEEDS,
)


def contract(max_examples: int) -> settings:
    """Return the settings of a property that several test classes inherit."""
    return settings(
        max_examples=max_examples,
        suppress_health_check=[
            HealthCheck.differing_executors,
            HealthCheck.function_scoped_fixture,
        ],
    )


class Search:
    """A scheduler, and a history that is written by hand as the dispatcher would."""

    def __init__(self, make_scheduler: MakeScheduler, shape: Shape) -> None:
        self.history, self.shape = History(), shape
        self._make_scheduler = make_scheduler
        self.restart()

    def restart(self) -> None:
        """Make the scheduler anew from the history."""
        self.scheduler = self._make_scheduler(self.history, self.shape)

    def with_status(self, status: str) -> list[TrialRecord]:
        return [trial for trial in self.history.trials.values() if trial.status == status]

    def add(self, origin: str = "") -> TrialRecord:
        number = len(self.history.trials)
        bracket = self.scheduler.bracket(number)
        trial = TrialRecord(number, {}, {}, 0.0, 0.0, bracket, origin)
        self.history.trials[number] = trial
        return trial

    def report(self, trial: TrialRecord, unit: int, score: float | None) -> Decision | None:
        trial.reports[unit] = {"score": score}
        return self.decide(trial, unit)

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        decision = self.scheduler.decide(trial, unit)
        if decision is not None:
            trial.decided[unit] = decision.action
            if decision.action != "continue":
                trial.status = "paused" if decision.action == "pause" else "stopped"
        return decision

    def promote(self, *, draining: bool = False) -> TrialRecord | None:
        found = self.scheduler.next_promotion(draining=draining)
        if found is None:
            return None
        trial, unit, decision = found
        assert trial.status == "paused"
        assert unit == trial.units
        assert unit not in trial.promoted
        assert trial.score_at(unit) > -math.inf
        assert decision == Decision("continue", *self.expected_rank(trial, unit))
        trial.promoted.add(unit)
        trial.status = "running"
        return trial

    def close(self) -> list[TrialRecord]:
        unpromotable = self.scheduler.unpromotable()
        for trial in unpromotable:
            assert trial.status == "paused"
            trial.status = "stopped"
        return unpromotable

    def expected_rank(self, trial: TrialRecord, unit: int) -> tuple[int, int]:
        """Return rank and number of results at a rung, of equal scores the earlier trial first."""
        others = [
            (-other.score_at(unit), other.number)
            for other in self.history.trials.values()
            if unit in other.decided and other.bracket == trial.bracket and other is not trial
        ]
        known = [key for key in others if math.isfinite(key[0])]
        own = (-trial.score_at(unit), trial.number)
        return sum(key < own for key in known) + 1, len(known) + 1


def advance(search: Search, draw: random.Random, p_nan: float = 0.05) -> bool:
    """Let one thing happen: a trial begins, is promoted, or finishes a unit; False at the end."""
    running = search.with_status("running")
    if not running or draw.random() < 0.4:
        if search.promote() is None:
            if len(search.history.trials) < search.shape.n_trials:
                search.add()
            elif not running:
                return search.promote(draining=True) is not None
        return True
    trial = draw.choice(running)
    unit = trial.units + 1
    if draw.random() < 0.03:
        trial.status = "failed"
    elif unit >= search.shape.units:
        trial.reports[unit], trial.status = {"score": draw.random()}, "done"
    else:
        score = None if draw.random() < p_nan else round(draw.random(), 1)
        decision = search.report(trial, unit, score)
        if decision is not None:
            assert (decision.rank, decision.among) == search.expected_rank(trial, unit)
    search.close()
    return True


def one_done(search: Search) -> None:
    """Add a trial that ran to its end: before that, no trial is unpromotable."""
    levels = rungs(search.shape.units, search.shape.eta)
    trial = search.add()
    trial.status, trial.reports = "done", {unit: {"score": 0.0} for unit in levels}
    for unit in levels[:-1]:
        trial.decided[unit] = "pause"
        trial.promoted.add(unit)
    search.restart()


class SchedulerContract:
    """The tests. `advance` and `Search.promote` check the rank at every decision and promotion.

    Attributes:
        decides_at_rungs: Whether it decides at every rung; False where it never decides.
    """

    decides_at_rungs = True

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        raise NotImplementedError

    @contract(25)
    @given(seed=SEEDS, shape=SHAPES)
    def test_made_anew_from_the_history_it_decides_as_the_one_that_lived_through_it(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape
    ) -> None:
        lived, reborn = Search(make_scheduler, shape), Search(make_scheduler, shape)
        draws = [random.Random(seed), random.Random(seed)]
        goes_on = [True, True]
        for step in itertools.count():
            if not all(goes_on):
                return
            if step % (seed % 4 + 1) == 0:
                reborn.restart()
            goes_on = [
                advance(search, draw) for search, draw in zip((lived, reborn), draws, strict=True)
            ]
            assert goes_on[0] == goes_on[1]
            assert reborn.history.trials == lived.history.trials

    @contract(15)
    @given(seed=SEEDS, shape=SHAPES)
    def test_a_report_that_a_killed_driver_did_not_decide_is_decided_after_the_restart(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape
    ) -> None:
        """As if it came only then, after the decisions that the old driver took since."""
        draw = random.Random(seed)
        search, patient = Search(make_scheduler, shape), Search(make_scheduler, shape)
        for _ in range(shape.n_trials):
            for own in (search, patient):
                own.add()
        late = search.history.trials[0]
        first = rungs(shape.units, shape.eta)[0]
        late.reports[first] = {"score": 0.5}
        for number in range(1, shape.n_trials):
            score = round(draw.random(), 1)
            for own in (search, patient):
                own.report(own.history.trials[number], first, score)
        search.restart()
        expected = patient.report(patient.history.trials[0], first, 0.5)
        assert search.decide(late, first) == expected

    @contract(25)
    @given(seed=SEEDS, shape=SHAPES)
    def test_at_the_end_no_trial_is_left_that_could_be_promoted(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape
    ) -> None:
        search, draw = Search(make_scheduler, shape), random.Random(seed)
        while advance(search, draw, p_nan=0.2):
            pass
        assert len(search.history.trials) == shape.n_trials
        assert not search.with_status("running")
        search.restart()
        assert search.scheduler.next_promotion(draining=True) is None

    @contract(25)
    @given(seed=SEEDS, shape=SHAPES)
    def test_a_score_that_is_nan_changes_no_decision_about_another_trial(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape
    ) -> None:
        draw = random.Random(seed)
        nan, without = Search(make_scheduler, shape), Search(make_scheduler, shape)
        for _ in range(shape.n_trials):
            for own in (nan, without):
                own.add()
        lost = {n for n in nan.history.trials if draw.random() < 0.4}
        for unit in rungs(shape.units, shape.eta)[:-1]:
            for number, trial in nan.history.trials.items():
                score = None if number in lost else round(draw.random(), 1)
                if trial.status != "running":
                    continue
                decision = nan.report(trial, unit, score)
                if number not in lost:
                    assert decision == without.report(without.history.trials[number], unit, score)

    @contract(25)
    @given(
        seed=SEEDS,
        shape=SHAPES,
        origin=st.sampled_from(["default", "base", "one-size/3, default"]),
    )
    def test_the_default_runs_to_its_end_whatever_its_scores_are(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape, origin: str
    ) -> None:
        search, draw = Search(make_scheduler, shape), random.Random(seed)
        others = [search.add() for _ in range(draw.randrange(shape.n_trials))]
        default = search.add(origin)
        for unit in range(1, shape.units):
            for trial in others:
                if trial.status == "running":
                    search.report(trial, unit, draw.random())
            if draw.random() < 0.5:
                search.restart()
            decision = search.report(default, unit, draw.choice([-1.0, None, 2.0]))
            assert decision is None or decision.action == "continue"
            assert default not in search.close()
            assert default.status == "running"

    @contract(25)
    @given(
        eta=st.integers(2, 4),
        exponent=st.integers(0, 4),
        beside=st.integers(-1, 1),
        brackets=st.integers(1, 2),
    )
    def test_it_decides_at_rungs_only_and_never_at_the_end(
        self, make_scheduler: MakeScheduler, eta: int, exponent: int, beside: int, brackets: int
    ) -> None:
        """Also where the units are a power of eta, or one beside it."""
        units = max(1, eta**exponent + beside)
        levels = rungs(units, eta)
        shape = Shape(units, eta, 4, min(brackets, len(levels)))
        search = Search(make_scheduler, shape)
        decides = False
        for trial in [search.add() for _ in range(4)]:
            for unit in range(1, units):
                decision = search.report(trial, unit, 0.5)
                trial.status = "running"
                if decision is not None:
                    decides = True
                    assert unit in levels[trial.bracket : -1]
            expected = set(levels[trial.bracket : -1]) if self.decides_at_rungs else set()
            assert set(trial.decided) == expected
            assert search.scheduler.decide(trial, units) is None
        assert decides or not self.decides_at_rungs or not set(levels[:-1])

    @pytest.mark.slow
    @contract(150)
    @given(seed=SEEDS, shape=SHAPES)
    def test_no_trial_is_unpromotable_that_might_still_be_promoted(
        self, make_scheduler: MakeScheduler, seed: int, shape: Shape
    ) -> None:
        """Note who is unpromotable and stop nobody; later none of them may be promoted.

        Scores mostly rise, so that many that were promoted are overtaken: more than 1/eta go on.
        """
        search, draw = Search(make_scheduler, shape), random.Random(seed)
        one_done(search)
        unpromotable: set[int] = set()
        rising = draw.random()
        trials, levels = search.history.trials, rungs(shape.units, shape.eta)
        for step in itertools.count(1):
            if found := search.scheduler.unpromotable():
                unpromotable |= {trial.number for trial in found}
                search.restart()  # else it would not consider them any more
            running = search.with_status("running")
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
            elif draw.random() < 0.5 and len(trials) < shape.n_trials:
                search.add()
            else:
                promoted = search.promote()
                assert promoted is None or promoted.number not in unpromotable
                if promoted is None and not running and len(trials) >= shape.n_trials:
                    return
