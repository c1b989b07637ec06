from __future__ import annotations

import logging
import re
from collections.abc import Callable

import optuna
import pytest
from matplotlib.figure import Figure

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report import report
from search.report.figures import learning_curves_figure
from search.report.report import param_importances, write_report
from search.report.write import write_results
from trainable.tasks import TASKS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke")


def report_of(plan: Plan, trials: list[TrialRecord]) -> str:
    history = History()
    history.header = header(plan)
    history.trials = {trial.number: trial for trial in trials}
    write_results(plan, history, 600.0)
    return (plan.folder.local / "report.md").read_text(encoding="utf-8")


def ten(plan: Plan, trial_of: MakeTrial) -> list[TrialRecord]:
    """Ten trials whose score is decided by the learning rate alone."""
    trials = []
    for number in range(10):
        lr = trial_of(plan, number, {}).params["multitask.optimization.lr"]
        trials.append(trial_of(plan, number, {1: 10 * lr, 9: 20 * lr}))
    return trials


def test_the_leaderboard_has_every_trial_in_its_order(plan: Plan, trial_of: MakeTrial) -> None:
    trials = [
        trial_of(plan, 0, {1: 0.2}, "stopped"),
        trial_of(plan, 1, {1: 0.3, 9: 0.6}),
        trial_of(plan, 2, {1: -1 / 3}, "failed", "RunFailed: the loss of sst is nan"),
    ]
    text = report_of(plan, trials)
    board = text.split("## Leaderboard")[1].split("## Best configuration")[0]
    rows = [line.split("|")[1:-1] for line in board.splitlines() if re.match(r"\| \d", line)]
    assert [[cell.strip() for cell in row[:4]] for row in rows] == [
        ["1", "1", "9/9", "0.6000"],
        ["2", "0", "1/9", "0.2000"],
        ["3", "2", "1/9", "-0.3333"],
    ]
    assert rows[0][7].strip() == "0.5900"
    assert "the loss of sst is nan" in rows[2][8]
    assert "1 stopped: 1 after unit 1" in text
    assert "1 done" in text
    assert "1 failed: 1 after unit 1" in text


def test_the_best_configuration_is_that_of_the_winner(plan: Plan, trial_of: MakeTrial) -> None:
    trials = ten(plan, trial_of)
    winner = max(trials, key=lambda trial: trial.score)
    section = report_of(plan, trials).split("## Best configuration")[1]
    assert f"Trial {winner.number}, as in best.json" in section
    assert f"| `para.pair` | {winner.params['para.pair']} |" in section


def test_pictures_that_are_linked_are_there(plan: Plan, trial_of: MakeTrial) -> None:
    text = report_of(plan, ten(plan, trial_of))
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert links == ["best_so_far.png", "learning_curves.png", "importance.png"]
    for link in links:
        assert (plan.folder.local / link).read_bytes().startswith(PNG)
    assert {p.name for p in plan.folder.local.glob("*.png")} == set(links)


def test_too_few_trials_say_nothing_about_importance(plan: Plan, trial_of: MakeTrial) -> None:
    text = report_of(plan, ten(plan, trial_of)[:4])
    assert "Importance" not in text
    assert not (plan.folder.local / "importance.png").exists()


def test_importance_says_nothing_of_the_study_it_makes(
    plan: Plan, trial_of: MakeTrial, caplog: pytest.LogCaptureFixture
) -> None:
    trials = ten(plan, trial_of)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    logger = logging.getLogger("optuna")  # it does not propagate
    logger.addHandler(caplog.handler)
    param_importances(plan.space.params(), trials)
    logger.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_the_param_that_decides_is_the_most_important(plan: Plan, trial_of: MakeTrial) -> None:
    trials = ten(plan, trial_of)
    found = param_importances(plan.space.params(), trials)
    assert max(found, key=found.__getitem__) == "multitask.optimization.lr"
    assert sum(found.values()) == pytest.approx(1.0)


def test_failed_trials_do_not_count_for_importance(plan: Plan, trial_of: MakeTrial) -> None:
    trials = ten(plan, trial_of)
    expected = param_importances(plan.space.params(), trials)
    failed = [trial_of(plan, n, {1: -1 / 3}, "failed", "nan") for n in range(10, 15)]
    assert param_importances(plan.space.params(), [*trials, *failed]) == expected


def test_importance_leaves_out_params_that_only_some_trials_have(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    plan = plan_of(space="full")
    trials = [trial_of(plan, n, {1: 0.1 + n / 100}) for n in range(12)]
    found = param_importances(plan.space.params(), trials)
    assert found
    assert set(found) <= {param.name for param in plan.space.params() if not param.parents}


def test_time_is_divided_without_a_rest(plan: Plan, trial_of: MakeTrial) -> None:
    text = report_of(plan, [trial_of(plan, 0, {1: 0.1, 2: 0.2}), trial_of(plan, 1, {1: 0.1})])
    rows = re.findall(r"^\| ([^|]+) \| ([\d:]+) \| ([\d.]+)% \|$", text, flags=re.MULTILINE)
    times = {name.split()[0]: clock for name, clock, _ in rows}
    # Each unit says one second of each; starting counts once a trial.
    expected = {"training": "0:03", "evaluation": "0:03", "switching": "0:02", "writing": "0:03"}
    assert times == {**expected, "waiting": "9:49"}
    assert sum(float(share) for *_, share in rows) == pytest.approx(100, abs=0.3)


def test_a_report_without_a_finished_unit_has_no_pictures(plan: Plan, trial_of: MakeTrial) -> None:
    text = report_of(plan, [trial_of(plan, 0, {}, "interrupted")])
    assert "## Leaderboard" in text
    assert "![" not in text


def test_a_winner_without_predictions_has_a_sentence_for_an_analysis(
    plan: Plan, trial_of: MakeTrial
) -> None:
    section = "## Analysis of the best configuration\n\nThere is none: "
    text = report_of(plan, [trial_of(plan, 4, {1: 0.1, 3: 0.2}, "interrupted")])
    assert f"{section}trial 4 ended after 3 of 9 units" in text
    text = report_of(plan, [trial_of(plan, 4, {1: 0.1, 9: 0.2})])
    assert f"{section}the checkpoints of trial 4 are not there" in text


def test_further_sections_come_before_the_last(plan: Plan, trial_of: MakeTrial) -> None:
    trials = [trial_of(plan, 0, {1: 0.1})]
    write_report(plan, trials, trials[0], 600.0, ["## One\n\nfirst", "## Two\n\nsecond"])
    text = (plan.folder.local / "report.md").read_text(encoding="utf-8")
    headings = re.findall("^## (.+)$", text, flags=re.MULTILINE)
    assert headings[-3:] == ["One", "Two", "Where the time went"]
    assert "## One\n\nfirst\n\n## Two\n\nsecond\n\n## Where" in text


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
    plan: Plan, trial_of: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def draw(trials: list[TrialRecord]) -> Figure:
        drawn.extend(trial.number for trial in trials)
        return learning_curves_figure(trials)

    monkeypatch.setattr(report, "learning_curves_figure", draw)
    trials = [trial_of(plan, n, {1: 0.1 * n}, "stopped") for n in range(7)]
    trials += [trial_of(plan, 7, {1: 0.9}, "failed"), trial_of(plan, 8, {}, "interrupted")]
    report_of(plan, trials)
    assert drawn == [6, 5, 4, 3, 2]
