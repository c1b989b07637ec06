from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest

from search.log.trial import Gain, TrialRecord
from search.planning.plan import Plan
from search.report.screen import summary

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke")


def test_the_ten_best_are_shown_in_their_order_with_what_to_type_next(
    plan: Plan, trial_of: MakeTrial
) -> None:
    trials = [trial_of(plan, n, {1: 0.1, 9: n / 100}) for n in range(12)]
    text = summary(plan, trials, trials[11])
    _, *rows, empty, tensorboard, retrain = text.splitlines()
    assert [row.split()[:4] for row in rows] == [
        [str(rank), str(12 - rank), "9/9", f"{(12 - rank) / 100:.4f}"] for rank in range(1, 11)
    ]
    assert empty == ""
    assert tensorboard == f"  tensorboard --logdir {plan.folder.local}"
    assert retrain == f"  python search/retrain.py {plan.folder.local}/best.json --seeds 3"


def test_every_metric_has_its_column(plan: Plan, trial_of: MakeTrial) -> None:
    trial = trial_of(plan, 0, {9: 0.2})
    keys = ("score", "sst_acc", "para_acc", "sts_corr")
    trial.reports[9] |= {key: 0.11 * n for n, key in enumerate(keys, 1)}
    header, row, *_ = summary(plan, [trial], trial).splitlines()
    assert header.split()[3:7] == ["score", "sst", "para", "sts"]
    assert row.split()[3:7] == ["0.1100", "0.2200", "0.3300", "0.4400"]


def test_a_search_that_could_go_on_says_how(plan: Plan, trial_of: MakeTrial) -> None:
    for status in ("interrupted", "paused"):
        trial = trial_of(plan, 0, {1: 0.1}, status)
        assert summary(plan, [trial], trial).endswith("--name search --resume goes on")


def test_without_a_finished_unit_there_is_nothing_to_retrain(
    plan: Plan, trial_of: MakeTrial
) -> None:
    failed = trial_of(plan, 0, {}, "failed", "no memory")
    text = summary(plan, [failed], None)
    assert text.splitlines()[1].split() == ["1", "0", "0/9", *"----", "failed"]
    assert text.endswith("no trial finished a unit; see the errors above")
    interrupted = trial_of(plan, 1, {}, "interrupted")
    text = summary(plan, [failed, interrupted], None)
    assert text.endswith("no trial finished a unit; see the errors above")
    text = summary(plan, [interrupted], None)
    assert text.endswith(
        "no trial finished a unit; the same command with --name search --resume goes on"
    )
    interrupted.last_failure = "no memory"
    text = summary(plan, [interrupted], None)
    assert text.endswith("no trial finished a unit; see the errors above")


def test_a_command_can_be_pasted_whatever_the_folder_is_called(
    plan: Plan, trial_of: MakeTrial
) -> None:
    local = plan.folder.local.with_name("my $HOME; 'runs' *")
    trial = trial_of(plan, 0, {1: 0.1}, "interrupted")
    text = summary(replace(plan, folder=replace(plan.folder, local=local)), [trial], trial)
    *_, tensorboard, retrain, _ = text.splitlines()
    assert shlex.split(tensorboard) == ["tensorboard", "--logdir", str(local)]
    command = ["python", "search/retrain.py", str(local / "best.json"), "--seeds", "3"]
    assert shlex.split(retrain) == command


def test_the_last_line_says_what_was_gained_and_another_why_the_default_leads(
    plan: Plan, trial_of: MakeTrial
) -> None:
    default, other = trial_of(plan, 0, {9: 0.5}), trial_of(plan, 1, {9: 0.504})
    default.origin = "default"
    other.gain = Gain(0, 0.004, 0.006, 0.002, 0.006, True)
    text = summary(plan, [default, other], default)
    assert text.splitlines()[1].split()[:2] == ["1", "0"]
    assert "trial 1 scored 0.0040 more, within the error of 0.0060" in text
    assert text.splitlines()[-1] == "nothing was gained over the default"
    other.gain = Gain(0, 0.02, 0.006, 0.018, 0.006, True)
    text = summary(plan, [default, other], other)
    assert text.splitlines()[-1] == (
        "gained over the default on confirm: +0.018 ± 0.006 "
        "(one seed each; the error counts examples, not seeds)"
    )
