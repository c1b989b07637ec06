from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.sections import score_curves
from search.report.sections.base import FinishedSearch
from search.report.sections.score_curves import learning_curves, learning_curves_figure
from trainable.tasks import TASKS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def test_learning_curves_are_the_reports(plan: Plan, trial_of: MakeTrial) -> None:
    trials = [trial_of(plan, n, {1: 0.1 * n, 2: 0.2, 9: 0.3}) for n in range(3)]
    # A unit without a batch of the task has no loss.
    for unit, loss in ((1, 2.0), (2, None), (9, 0.0)):
        trials[1].reports[unit]["para_loss"] = loss
    figure = learning_curves_figure(trials)
    panels = {(axes.get_title(), axes.get_ylabel()): axes for axes in figure.axes}
    assert {title for title, _ in panels} - {""} == {task.title for task in TASKS.values()}
    for axes in figure.axes[:3]:
        lines = [line.get_xydata().tolist() for line in axes.get_lines()]
        assert lines == [[[1, 0.1 * n], [2, 0.2], [9, 0.3]] for n in range(3)]
        assert "on select" in axes.get_ylabel()
    losses = [line.get_xydata().tolist() for line in figure.axes[4].get_lines()]
    assert losses == [[], [[1, 2.0], [9, 0.0]], []]
    assert figure.axes[3].get_xlabel() == "units of the budget"


def test_curves_are_drawn_of_the_best_trials_that_did_not_fail(
    plan: Plan,
    trial_of: MakeTrial,
    search_of: MakeSearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    def draw(trials: list[TrialRecord]) -> Figure:
        drawn.extend(trial.number for trial in trials)
        return learning_curves_figure(trials)

    monkeypatch.setattr(score_curves, "learning_curves_figure", draw)
    trials = [trial_of(plan, n, {1: 0.1 * n}, "stopped") for n in range(7)]
    trials += [trial_of(plan, 7, {1: 0.9}, "failed"), trial_of(plan, 8, {}, "interrupted")]
    learning_curves(search_of(plan, trials))
    assert drawn == [6, 5, 4, 3, 2]
