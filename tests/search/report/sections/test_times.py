from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.sections.base import FinishedSearch
from search.report.sections.times import times

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def test_time_is_divided_without_a_rest(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [trial_of(plan, 0, {1: 0.1, 2: 0.2}), trial_of(plan, 1, {1: 0.1})]
    _, text = times(search_of(plan, trials))
    rows = re.findall(r"^\| ([^|]+) \| ([\d:]+) \| ([\d.]+)% \|$", text, flags=re.MULTILINE)
    clocks = {name.split()[0]: clock for name, clock, _ in rows}
    # Each unit says one second of each; starting counts once a trial.
    expected = {"training": "0:03", "evaluation": "0:03", "switching": "0:02", "writing": "0:03"}
    assert clocks == {**expected, "waiting": "9:49"}
    assert sum(float(share) for *_, share in rows) == pytest.approx(100, abs=0.3)
