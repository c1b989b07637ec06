"""Reports of trials that are made up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.sections.base import FinishedSearch

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke")


@pytest.fixture
def search_of() -> MakeSearch:
    """Return a function from a plan and trials to a search whose actors lived 600 s."""

    def make(plan: Plan, trials: list[TrialRecord]) -> FinishedSearch:
        history = History()
        history.header = header(plan)
        history.trials = {trial.number: trial for trial in trials}
        return FinishedSearch(plan, history, 600.0)

    return make


@pytest.fixture
def ten(plan: Plan, trial_of: MakeTrial) -> list[TrialRecord]:
    """Ten trials whose score is decided by the learning rate alone."""
    trials = []
    for number in range(10):
        lr = trial_of(plan, number, {}).params["multitask.optimization.lr"]
        trials.append(trial_of(plan, number, {1: 10 * lr, 9: 20 * lr}))
    return trials
