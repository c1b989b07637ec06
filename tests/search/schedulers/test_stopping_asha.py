from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from ray.tune.schedulers import ASHAScheduler

from search.log.history import History
from search.schedulers.rungs import rungs
from search.schedulers.stopping_asha import StoppingASHA
from tests.search.schedulers.scheduler_contract import (
    SEEDS,
    SHAPES,
    MakeScheduler,
    SchedulerContract,
    Search,
    Shape,
)


def stopping_asha(history: History, shape: Shape) -> StoppingASHA:
    return StoppingASHA(history, shape.units, shape.eta)


class TestStoppingASHA(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return stopping_asha


def bare_asha(units: int, eta: int) -> Callable[[int, int, float], str]:
    """Return Ray's scheduler as Tune would call it."""
    asha = ASHAScheduler(
        time_attr="unit",
        metric="score",
        mode="max",
        max_t=units,
        grace_period=1,
        reduction_factor=eta,
    )
    added: set[int] = set()

    def report(number: int, unit: int, score: float) -> str:
        trial: Any = SimpleNamespace(trial_id=f"id{number}")
        nobody: Any = SimpleNamespace()
        if number not in added:
            added.add(number)
            asha.on_trial_add(nobody, trial)
        return asha.on_trial_result(nobody, trial, {"unit": unit, "score": score})

    return report


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")  # of Ray
@settings(max_examples=25)
@given(seed=SEEDS, shape=SHAPES)
def test_it_decides_as_ray_does_also_when_made_anew(seed: int, shape: Shape) -> None:
    draw, bare = random.Random(seed), bare_asha(shape.units, shape.eta)
    search = Search(stopping_asha, shape)
    restart = draw.random()
    for _ in range(min(15, shape.n_trials)):
        search.add()
    while running := search.with_status("running"):
        if draw.random() < restart:
            search.restart()
        trial = draw.choice(running)
        score = math.nan if draw.random() < 0.1 else round(draw.random(), 1)
        unit = trial.units + 1
        expected = bare(trial.number, unit, score)
        decision = search.report(trial, unit, None if math.isnan(score) else score)
        if unit == shape.units:
            trial.status = "done"
        elif unit in rungs(shape.units, shape.eta):
            assert decision is not None
            assert decision.action == ("stop" if expected == "STOP" else "continue")
            assert (decision.rank, decision.among) == search.expected_rank(trial, unit)
        else:
            assert decision is None
            assert expected == "CONTINUE"


def test_scores_that_are_nan_do_not_shift_the_cutoff() -> None:
    """Ray's own test of it, `testAsyncHBNanPercentile`."""
    search = Search(stopping_asha, Shape(10, 2, 3))
    good, lost, third = (search.add() for _ in range(3))
    for unit in (1, 2, 4, 8):
        for trial, score in ((good, 450.0), (lost, None)):
            decision = search.report(trial, unit, score)
            assert decision is not None
            assert decision.action == "continue"
    decision = search.report(third, 1, 260.0)
    assert decision is not None
    assert (decision.action, decision.rank, decision.among) == ("stop", 2, 2)


def test_it_never_promotes() -> None:
    scheduler = StoppingASHA(History(), 9, 3)
    assert scheduler.next_promotion(draining=True) is None
    assert scheduler.unpromotable() == []
    assert scheduler.bracket(7) == 0
