"""Reports of trials that are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.sections.base import FinishedSearch
from search.report.write import write_results

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]
MakeHistory = Callable[..., History]


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke")


@pytest.fixture
def history_of() -> MakeHistory:
    """Return a function from a plan and its trials to a history."""

    def make(plan: Plan, trials: list[TrialRecord]) -> History:
        history = History()
        history.header = {"event": "search", "time": 0.0, **header(plan)}
        history.trials = {trial.number: trial for trial in trials}
        return history

    return make


@pytest.fixture
def search_of(history_of: MakeHistory) -> MakeSearch:
    """Return a function from a plan and its trials to a search whose actors lived 600 s."""

    def make(plan: Plan, trials: list[TrialRecord]) -> FinishedSearch:
        history = history_of(plan, trials)
        history.slots, history.last = [(0.0, 1), (600.0, 0)], 600.0
        return FinishedSearch(plan, history)

    return make


@pytest.fixture
def ten(plan: Plan, trial_of: MakeTrial) -> list[TrialRecord]:
    """Ten trials whose score is decided by the learning rate alone."""
    trials = []
    for number in range(10):
        lr = trial_of(plan, number, {}).params["multitask.optimization.lr"]
        trials.append(trial_of(plan, number, {1: 10 * lr, 9: 20 * lr}))
    return trials


@pytest.fixture
def heads(plan_of: MakePlan) -> Plan:
    return plan_of(space="heads")


@pytest.fixture
def six(heads: Plan, trial_of: MakeTrial) -> list[TrialRecord]:
    """Six trials that ended in every way; the third is the best."""
    full = {1: 0.3, 3: 0.4}
    return [
        trial_of(heads, 0, {**full, 9: 0.5}),
        trial_of(heads, 1, {1: 0.2}, "stopped"),
        trial_of(heads, 2, {**full, 9: 0.6}),
        trial_of(heads, 3, {1: -1 / 3}, "failed", "RunFailed: the loss of sst is nan"),
        trial_of(heads, 4, {1: 0.3}, "interrupted"),
        trial_of(heads, 5, {}, "interrupted"),
    ]


@pytest.fixture
def best_json(heads: Plan, six: list[TrialRecord], history_of: MakeHistory) -> Path:
    """The best.json of the six trials."""
    write_results(heads, history_of(heads, six))
    return heads.folder.local / "best.json"
