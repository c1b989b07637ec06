from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.sections import score_curves
from search.report.sections.base import FinishedSearch
from search.report.sections.score_curves import (
    best_so_far_figure,
    learning_curves,
    learning_curves_figure,
)
from trainable.tasks import COURSE, Tasks

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def test_learning_curves_are_the_reports(plan: Plan, trial_of: MakeTrial) -> None:
    trials = [trial_of(plan, n, {1: 0.1 * n, 2: 0.2, 9: 0.3}) for n in range(3)]
    # A unit without a batch of the task has no loss.
    for unit, loss in ((1, 2.0), (2, None), (9, 0.0)):
        trials[1].reports[unit]["para_loss"] = loss
    figure = learning_curves_figure(trials, plan.tasks)
    panels = {(axes.get_title(), axes.get_ylabel()): axes for axes in figure.axes}
    assert {title for title, _ in panels} - {""} == {task.title for task in COURSE.values()}
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

    def draw(trials: list[TrialRecord], tasks: Tasks) -> Figure:
        drawn.extend(trial.number for trial in trials)
        return learning_curves_figure(trials, tasks)

    monkeypatch.setattr(score_curves, "learning_curves_figure", draw)
    trials = [trial_of(plan, n, {1: 0.1 * n}, "stopped") for n in range(7)]
    trials += [trial_of(plan, 7, {1: 0.9}, "failed"), trial_of(plan, 8, {}, "interrupted")]
    learning_curves(search_of(plan, trials))
    assert drawn == [6, 5, 4, 3, 2]


def test_the_best_so_far_is_that_of_full_runs_in_the_order_of_ending(
    plan: Plan, trial_of: MakeTrial
) -> None:
    scores = {0: {1: 0.1, 9: 0.3}, 1: {1: 0.9}, 2: {9: 0.2}, 3: {9: 0.5}, 4: {9: 0.4}}
    trials = [trial_of(plan, n, own) for n, own in scores.items()]
    trials[0].ended = trials[3].ended + 15  # between the ends of 3 and 4
    trials += [trial_of(plan, 5, {9: 0.8}, "failed"), trial_of(plan, 6, {}, "interrupted")]
    axes = best_so_far_figure(trials).axes[0]
    full, before = [points.get_offsets().tolist() for points in axes.collections]
    minutes = {n: (trials[n].ended - trials[0].started) / 60 for n in range(5)}
    assert full == [pytest.approx([minutes[n], scores[n][9]]) for n in (2, 3, 0, 4)]
    assert before == [pytest.approx([minutes[1], 0.9])]
    (line,) = axes.get_lines()
    assert line.get_xdata() == pytest.approx([minutes[n] for n in (2, 3, 0, 4, 4)])
    assert line.get_ydata() == pytest.approx([0.2, 0.5, 0.5, 0.5, 0.5])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        *("ran 9 units", "ended before", "best so far")
    ]
