from __future__ import annotations

from collections.abc import Callable

import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.screen import summary
from search.report.sections.base import FinishedSearch
from search.report.sections.not_learned import constant_answers, not_learned

MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]
CONSTANT = {"sst_top_share": 0.996, "sst_top_class": 1.0, "sst_matthews": 0.02}
ANSWER = "answers 'negative' for 100 % of sst"


def test_a_leader_with_a_constant_answer_is_named_in_the_report_and_on_the_screen(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [trial_of(plan, 3, {9: 0.4}), trial_of(plan, 4, {9: 0.3})]
    trials[0].reports[9] |= CONSTANT
    assert not_learned(search_of(plan, trials)) == [f"**Not learned**: trial 3 {ANSWER}."]
    lines = summary(plan, trials, trials[0]).splitlines()
    assert f"warning: trial 3, the best, {ANSWER}: it has not learned this task" in lines
    assert "warning" not in summary(plan, trials, trials[1])


@pytest.mark.parametrize(
    "known",
    [
        {},  # as in the log of an earlier version
        {"sst_top_share": 0.7, "sst_matthews": 0.02},
        {"sst_matthews": 0.8},  # most labels are alike, and the rare ones are found
        {"sst_top_class": None},
    ],
)
def test_what_is_learned_or_not_known_is_not_named(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch, known: dict[str, float | None]
) -> None:
    trial = trial_of(plan, 0, {9: 0.4})
    trial.reports[9] |= {**CONSTANT, **known} if known else {}
    assert constant_answers(trial, plan.tasks) == []
    assert not_learned(search_of(plan, [trial])) == []


def test_a_number_that_is_the_same_for_all_is_named(plan: Plan, trial_of: MakeTrial) -> None:
    trial = trial_of(plan, 0, {9: 0.4})
    trial.reports[9]["sts_corr"] = 0.0
    assert constant_answers(trial, plan.tasks) == ["gives all of sts the same number"]
