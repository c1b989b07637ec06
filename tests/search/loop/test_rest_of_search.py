from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.trial import Metrics, TrialRecord
from search.loop.rest_of_search import Ending, RestOfSearch
from search.loop.standing import Standing
from search.replaying.simulated_slots import SimulatedSlots
from search.schedulers.run_all import RunAll
from search.schedulers.rungs import rungs

Scores = Callable[[int, int], float]


def score_of(seed: int, number: int, unit: int) -> float:
    return random.Random(f"{seed} score {number} {unit}").random()


def seconds_of(seed: int, number: int, unit: int) -> float:
    return 1.0 + random.Random(f"{seed} seconds {number} {unit}").random()


def really(search: Any, seed: int, n_slots: int, until: int | None = None) -> SimulatedSlots:
    """Run the real dispatcher by a clock; returns the slots, at rest or at work.

    Args:
        search: From `played`.
        seed: Of scores and seconds.
        n_slots: Trials at a time.
        until: Stop after so many units; None to run to the end.
    """
    slots = SimulatedSlots(
        n_slots, lambda trial, unit, begins: seconds_of(seed, trial.number, unit)
    )

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        return {"score": score_of(seed, trial.number, unit)}, ""

    for _ in islice(slots.play(search.dispatcher, report_of), until):
        pass
    slots.fill(search.dispatcher)
    return slots


def rest(standing: Standing, seed: int, start: float = 0.0) -> Ending:
    """Play with the same scores and seconds."""
    return RestOfSearch(
        standing,
        standing.results(),
        lambda number, unit: seconds_of(seed, number, unit),
        start,
        random.Random(0),
        place=lambda number, unit: -score_of(seed, number, unit),
    ).play()


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    n_trials=st.integers(1, 20),
    slots=st.integers(1, 5),
    shape=st.sampled_from([(9, 3, 1), (4, 2, 1), (8, 2, 2), (1, 3, 1), (10, 4, 1)]),
)
def test_it_decides_as_promotion_asha_does(
    played: Any, seed: int, n_trials: int, slots: int, shape: tuple[int, int, int]
) -> None:
    """With equal scores and seconds it trains as many units, and ends at the same moment."""
    units, eta, brackets = shape
    search = played(None, n_trials=n_trials, units=units, eta=eta, brackets=brackets)
    real = really(search, seed, slots)
    bracket = search.dispatcher.queue._scheduler.bracket
    levels = rungs(units, eta)
    found = rest(Standing("promotion-asha", levels, eta, n_trials, slots, bracket=bracket), seed)
    assert (found.units, found.seconds) == (real.n_units, pytest.approx(real.now))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), slots=st.integers(1, 4), part=st.floats(0.0, 1.0))
def test_it_goes_on_from_the_middle_of_a_search(
    played: Any, seed: int, slots: int, part: float
) -> None:
    whole = really(played(None, n_trials=12, units=9, eta=3), seed, slots)
    until = int(part * whole.n_units)
    search = played(None, n_trials=12, units=9, eta=3)
    half = really(search, seed, slots, until)
    running = {
        number: seconds_of(seed, number, unit) - (end - half.now)
        for end, number, _, unit in half.training
    }
    trials = list(search.history.trials.values())
    found = rest(Standing("promotion-asha", (1, 3, 9), 3, 12, slots, trials, running), seed)
    assert found.units == whole.n_units - until
    # A unit has some time left, at least.
    assert half.now + found.seconds == pytest.approx(whole.now, abs=0.2)


def test_without_a_scheduler_all_units_are_trained(played: Any) -> None:
    search = played(None, n_trials=5, units=4, scheduler=lambda history: RunAll())
    real = really(search, 0, 2)
    found = rest(Standing("none", (4,), 3, 5, 2), 0)
    assert (
        (found.units, found.seconds)
        == (real.n_units, pytest.approx(real.now))
        == (20, found.seconds)
    )


def drawn(standing: Standing, n: int = 40) -> list[Ending]:
    draw, results = random.Random(0), standing.results()
    return [
        RestOfSearch(standing, results, lambda number, unit: 1.0, 0.0, draw).play()
        for _ in range(n)
    ]


def test_rays_asha_trains_at_least_to_the_first_rung() -> None:
    for ending in drawn(Standing("asha", (1, 3, 9), 3, 20, 4)):
        assert 20 + 8 <= ending.units <= 180  # the default goes to the end


def test_extra_runs_follow_at_the_end() -> None:
    without = fmean(e.units for e in drawn(Standing("promotion-asha", (1, 3, 9), 3, 12, 4)))
    extra = Standing("promotion-asha", (1, 3, 9), 3, 12, 4, extra_runs=[0] * 5 + [7], extra_slots=2)
    assert fmean(e.units for e in drawn(extra)) == without + 5 * 9 + 2
    assert all(ending.slot_seconds == ending.units for ending in drawn(extra))


def test_so_many_extra_runs_as_there_are_finalists_go_side_by_side() -> None:
    none, *several = (
        fmean(
            ending.seconds
            for ending in drawn(
                Standing("promotion-asha", (1, 3, 9), 3, 3, 4, extra_runs=runs, extra_slots=slots)
            )
        )
        for runs, slots in (((), 0), ([0] * 4, 1), ([0] * 4, 2), ([0] * 4, 8))
    )
    assert several == [none + 36, none + 18, none + 9]


@pytest.mark.parametrize("scheduler", ["asha", "promotion-asha"])
def test_audited_trials_run_on_to_their_ends(scheduler: str) -> None:
    none, some, whole = (
        fmean(e.units for e in drawn(Standing(scheduler, (1, 3, 9), 3, 60, 4, audit=share)))
        for share in (0.0, 0.2, 1.0)
    )
    assert whole == 60 * 9
    assert none + 0.1 * (whole - none) < some < none + 0.3 * (whole - none)


def test_a_trial_that_is_audited_already_is_not_ranked_again() -> None:
    trials = [TrialRecord(n, {}, {}, 0.0, 0.0, status="done") for n in (0, 1)]
    for trial in trials:
        trial.reports = {unit: {"score": 0.9} for unit in (1, 3, 9)}
        trial.decided = {1: "continue", 3: "continue"}
    audited = TrialRecord(2, {}, {}, 0.0, 0.0, reports={1: {"score": 0.1}}, audited_at=1)
    audited.decided = {1: "stop"}
    (ending,) = drawn(Standing("promotion-asha", (1, 3, 9), 3, 3, 1, [*trials, audited]), 1)
    assert ending.units == 8


def test_a_large_search_takes_in_proportion() -> None:
    small, large = (
        fmean(e.seconds for e in drawn(Standing("promotion-asha", (1, 3, 9), 3, n, 10), 10))
        for n in (300, 3000)
    )
    assert 8 < large / small < 12


def test_checkpoints_are_of_what_runs_and_waits() -> None:
    for ending in drawn(Standing("promotion-asha", (1, 3, 9), 3, 12, 4)):
        assert 2 * 4 <= ending.checkpoints <= 2 * 4 + 12 + 2


def test_a_trial_that_saves_before_a_pause_waits(trial_of: Any, plan_of: Any) -> None:
    plan = plan_of(space="smoke")
    trials = [trial_of(plan, n, {1: 0.1 * n}, "running") for n in range(3)]
    for trial in trials:
        trial.decided[1] = "pause"
    standing = Standing("promotion-asha", (1, 3, 9), 3, 3, 1, trials)
    (ending,) = drawn(standing, 1)
    assert ending.units == 8  # the best of three goes on, and the others do not


def test_a_finished_search_takes_nothing(trial_of: Any, plan_of: Any) -> None:
    plan = plan_of(space="smoke")
    trials: list[TrialRecord] = [trial_of(plan, n, {9: 0.5}) for n in range(2)]
    (ending,) = drawn(Standing("promotion-asha", (1, 3, 9), 3, 2, 1, trials), 1)
    assert (ending.units, ending.seconds) == (0, 0.0)
