from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.plan import Plan
from search.results import TrialRecord, records
from search.scheduler import RecordedASHA, make_scheduler
from search.searcher import METRIC, MODE
from trainable.run_config import RunConfig

MakePlan = Callable[..., Plan]
Report = tuple[int, int, float]  # trial, unit, score
N_TRIALS, UNITS = 12, 9


def started(plan: Plan, earlier: list[TrialRecord], numbers: range) -> RecordedASHA:
    """Return a scheduler as Tune would set it up."""
    scheduler = make_scheduler(plan, earlier)
    assert isinstance(scheduler, RecordedASHA)
    assert scheduler.set_search_properties(METRIC, MODE)
    for number in numbers:
        scheduler.on_trial_add(_no_controller(), ray_trial(number))
    return scheduler


def ray_trial(number: int) -> Trial:
    return Trial("stub", trial_id=f"id{number}", stub=True)


def _no_controller() -> Any:
    return SimpleNamespace()


def decide(scheduler: RecordedASHA, report: Report) -> str:
    number, unit, score = report
    result = {"unit": unit, METRIC: score, "done": unit == UNITS}
    return scheduler.on_trial_result(_no_controller(), ray_trial(number), result)


def play(scheduler: RecordedASHA, seed: int) -> tuple[list[Report], list[str]]:
    """Let trials run in an order drawn at random; returns all reports and decisions."""
    draw = random.Random(seed)
    units = dict.fromkeys(range(N_TRIALS), 0)
    reports, decisions = [], []
    while units:
        number = draw.choice(sorted(units))
        units[number] += 1
        report = (number, units[number], draw.random())
        decision = decide(scheduler, report)
        reports.append(report)
        decisions.append(decision)
        if decision == TrialScheduler.STOP:
            del units[number]
    return reports, decisions


def logged(reports: list[Report]) -> list[TrialRecord]:
    events: list[dict[str, Any]] = []
    known: set[int] = set()
    for number, unit, score in reports:
        if number not in known:
            known.add(number)
            config = {"params": {}, "run_config": RunConfig().to_dict()}
            events.append(
                {"event": "suggested", "time": 0.0, "trial": number, "id": f"id{number}", **config}
            )
        metrics = {METRIC: score}
        events.append(
            {"event": "reported", "time": 0.0, "trial": number, "unit": unit, "metrics": metrics}
        )
    return records(events)


@pytest.mark.parametrize("seed", range(10))
def test_a_scheduler_whose_rungs_were_refilled_decides_as_one_that_never_stopped(
    plan_of: MakePlan, seed: int
) -> None:
    plan = plan_of(units=UNITS, eta=3)
    reports, decisions = play(started(plan, [], range(N_TRIALS)), seed)
    assert TrialScheduler.STOP in decisions
    assert TrialScheduler.CONTINUE in decisions
    for half in range(0, len(reports), 5):
        resumed = started(plan, logged(reports[:half]), range(N_TRIALS))
        assert [decide(resumed, report) for report in reports[half:]] == decisions[half:]


def test_without_the_refill_decisions_would_differ(plan_of: MakePlan) -> None:
    """Else the test above tests nothing."""
    plan = plan_of(units=UNITS, eta=3)
    reports, decisions = play(started(plan, [], range(N_TRIALS)), seed=0)
    half = len(reports) // 2
    empty = started(plan, [], range(N_TRIALS))
    assert [decide(empty, report) for report in reports[half:]] != decisions[half:]


def test_it_remembers_what_it_stopped_and_nothing_else(plan_of: MakePlan) -> None:
    scheduler = started(plan_of(units=UNITS, eta=3), [], range(3))
    assert decide(scheduler, (0, 1, 0.9)) == TrialScheduler.CONTINUE
    assert decide(scheduler, (1, 1, 0.1)) == TrialScheduler.STOP
    assert decide(scheduler, (0, 2, 0.0)) == TrialScheduler.CONTINUE  # no rung
    assert decide(scheduler, (0, 9, 0.9)) == TrialScheduler.STOP  # the run is over
    assert scheduler.stopped == {"id1"}


@pytest.mark.slow
def test_rungs_are_those_of_the_plan(plan_of: MakePlan) -> None:
    for units, eta in ((9, 3), (10, 3), (8, 2), (5, 4)):
        plan = plan_of(units=units, eta=eta)
        scheduler = started(plan, [], range(0))
        milestones = {milestone for milestone, _ in scheduler._brackets[0]._rungs}
        assert milestones | {units} == set(plan.rungs)


def test_about_one_in_eta_passes_a_rung(plan_of: MakePlan) -> None:
    scheduler = started(plan_of(units=UNITS, eta=3), [], range(300))
    draw = random.Random(0)
    passed = sum(
        decide(scheduler, (n, 1, draw.random())) == TrialScheduler.CONTINUE for n in range(300)
    )
    assert 80 <= passed <= 120


def test_without_a_scheduler_every_trial_runs_on(plan_of: MakePlan) -> None:
    assert type(make_scheduler(plan_of(scheduler="none"), [])) is FIFOScheduler
