from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.figures import save
from search.report.sections.base import FinishedSearch
from search.report.sections.importance import importance, importance_figure, param_importances

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def test_too_few_trials_say_nothing_about_importance(
    plan: Plan, ten: list[TrialRecord], search_of: MakeSearch
) -> None:
    assert importance(search_of(plan, ten[:4])) == []
    assert not (plan.folder.local / "importance.png").exists()


def test_importance_says_nothing_of_the_study_it_makes(
    plan: Plan, ten: list[TrialRecord], caplog: pytest.LogCaptureFixture
) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    logger = logging.getLogger("optuna")  # it does not propagate
    logger.addHandler(caplog.handler)
    param_importances(plan.space.params(), ten)
    logger.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_the_param_that_decides_is_the_most_important(plan: Plan, ten: list[TrialRecord]) -> None:
    found = param_importances(plan.space.params(), ten)
    assert max(found, key=found.__getitem__) == "multitask.optimization.lr"
    assert sum(found.values()) == pytest.approx(1.0)


def test_failed_trials_do_not_count_for_importance(
    plan: Plan, ten: list[TrialRecord], trial_of: MakeTrial
) -> None:
    expected = param_importances(plan.space.params(), ten)
    failed = [trial_of(plan, n, {1: -1 / 3}, "failed", "nan") for n in range(10, 15)]
    assert param_importances(plan.space.params(), [*ten, *failed]) == expected


def test_importance_leaves_out_params_that_only_some_trials_have(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    plan = plan_of(space="full")
    trials = [trial_of(plan, n, {1: 0.1 + n / 100}) for n in range(12)]
    found = param_importances(plan.space.params(), trials)
    assert found
    assert set(found) <= {param.name for param in plan.space.params() if not param.parents}


def test_the_fifteen_most_important_are_drawn() -> None:
    figure = importance_figure({f"p{n:02}": n / 190 for n in range(20)})
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"p{n:02}" for n in range(5, 20)]
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([n / 190 for n in range(5, 20)])


def test_a_name_with_dollar_signs_is_no_formula(tmp_path: Path) -> None:
    figure = importance_figure({r"$\\frac$": 0.7, "a_b": 0.3})
    save(figure, tmp_path / "a.png")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["a_b", r"$\\frac$"]
