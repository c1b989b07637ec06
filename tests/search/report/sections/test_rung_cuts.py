from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.screen import summary
from search.report.sections.base import FinishedSearch
from search.report.sections.rung_cuts import rung_cuts

MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[[Plan, list[TrialRecord]], FinishedSearch]


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return replace(plan, options=replace(plan.options, audit=0.05))


@pytest.fixture
def trials(plan: Plan, trial_of: MakeTrial) -> list[TrialRecord]:
    """Two full runs, two stopped trials that ran on, and six that did not."""
    found = [trial_of(plan, n, {1: 0.5, 3: 0.6, 9: 0.7 + n / 100}) for n in range(2)]
    found += [trial_of(plan, n, {1: 0.3, 3: 0.5, 9: 0.69 + n / 100}) for n in (2, 3)]
    found += [trial_of(plan, n, {1: 0.2}, "stopped") for n in range(4, 10)]
    for trial in found[2:]:
        trial.decided = {1: "stop"}
    for trial in found[2:4]:
        trial.audited_at = 1
    found[0].origin = "default"
    return found


def test_the_section_says_what_ran_on_and_what_other_rungs_would_keep(
    plan: Plan, trials: list[TrialRecord], search_of: MakeSearch
) -> None:
    text = "\n".join(rung_cuts(search_of(plan, trials)))
    assert "2 of the 8 trials that rungs stopped ran on to their end, and 1 of these would" in text
    assert "| 1 | 8 | 2 | 1 | 1 to 7 | 0.7200 |" in text
    assert "| 3 | 1, 3 | " in text
    assert "cut at unit 1" in text


def test_one_audited_run_tells_nothing_of_other_rungs(
    plan: Plan, trials: list[TrialRecord], search_of: MakeSearch
) -> None:
    text = "\n".join(rung_cuts(search_of(plan, [*trials[:3], *trials[4:]])))
    assert "cannot be told from 1 audited full run." in text


def test_without_an_audit_there_is_no_section(
    plan: Plan, trials: list[TrialRecord], search_of: MakeSearch
) -> None:
    without = replace(plan, options=replace(plan.options, audit=0.0))
    assert rung_cuts(search_of(without, trials)) == []


def test_the_screen_has_a_sentence_and_marks_who_ran_on(
    plan: Plan, trials: list[TrialRecord]
) -> None:
    text = summary(plan, trials, trials[0])
    assert "audit: 2 of the 8 trials" in text
    assert sum(line.endswith("done, audited") for line in text.splitlines()) == 2
