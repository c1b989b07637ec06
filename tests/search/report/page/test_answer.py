from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict

from search.log.history import History
from search.log.trial import Gain, TrialRecord
from search.planning.options import SearchOptions, parse
from search.planning.plan import Plan
from search.report.logged_search import LoggedSearch
from search.report.page.answer import answer, commands, gain, pick_command, repeat_command
from search.report.pareto import pick

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeHistory = Callable[[Plan, list[TrialRecord]], History]


def test_the_answer_says_how_far_it_goes(
    plan: Plan, trial_of: MakeTrial, history_of: MakeHistory
) -> None:
    def said(*trials: TrialRecord) -> str:
        return answer(LoggedSearch("s", history_of(plan, list(trials))))

    assert "No trial has a score yet" in said(trial_of(plan, 0, {}, "running"))
    part = said(trial_of(plan, 0, {1: 0.3}, "paused"))
    assert "0.3000 on select, after 1 of 9 units" in part
    assert "so far" in part
    whole = said(trial_of(plan, 0, {1: 0.3, 9: 0.5}))
    assert "0.4900 on confirm" in whole
    assert "after all 9 units" in whole


def test_the_gain_is_what_the_log_compared(
    plan: Plan, trial_of: MakeTrial, history_of: MakeHistory
) -> None:
    default, own = trial_of(plan, 0, {9: 0.5}), trial_of(plan, 1, {9: 0.6})

    def said(*trials: TrialRecord) -> str:
        return gain(LoggedSearch("s", history_of(plan, list(trials))))

    assert "The default is none of the trials" in said(own)
    default.origin = "default"
    own.gain = Gain(0, 0.1, 0.02, 0.09, 0.03, True)
    assert said(default, own) == (
        "Gained over the default on confirm: +0.090 ± 0.030 "
        "(one seed each; the error counts examples, not seeds)."
    )
    own.gain = Gain(0, 0.1, 0.2, 0.09, 0.03, True)
    assert said(default, own).startswith("Nothing was gained over the default. The default (trial")
    default.status = "paused"
    assert "did not run to its end" in said(default, own)


def test_the_command_gives_the_same_options() -> None:
    words = "--data cs224n --data-dir 'a b' --trials 7 --fix 'a.*=1' --fix b=2 --seed 3 --eta 4"
    options = parse(shlex.split(words), "run")
    command = repeat_command(asdict(options))
    assert command.startswith("python search/run.py --data cs224n --data-dir 'a b' ")
    assert parse(shlex.split(command)[2:], "run") == options
    assert repeat_command(asdict(SearchOptions())) == "python search/run.py"


def test_the_command_that_goes_on_keeps_the_trials_that_the_search_has_by_now(
    plan_of: MakePlan, history_of: MakeHistory
) -> None:
    """The first line of the log names those that it began with."""
    search = LoggedSearch("s", history_of(plan_of(space="smoke", trials=12), []))
    found = dict(commands(search, "runs/s"))
    again, goes_on = (
        parse(shlex.split(found[name])[2:], "run")
        for name in ("Run the search again", "Go on with it")
    )
    assert again.trials == 12
    assert (goes_on.trials, goes_on.name, goes_on.resume) == (None, "s", True)
    assert goes_on.space == again.space == "smoke"


def test_the_example_of_a_pick_is_fulfilled(
    plan: Plan, trial_of: MakeTrial, history_of: MakeHistory
) -> None:
    trials = [trial_of(plan, 0, {9: 0.8}), trial_of(plan, 1, {9: 0.12345})]
    trials[1].reports[9]["sts_corr"] = 0.98765
    command = pick_command(LoggedSearch("s", history_of(plan, trials)), "runs/s")
    assert shlex.split(command)[2:4] == ["runs/s", "--pick"]
    assert pick(trials, plan.tasks, shlex.split(command)[4]) is trials[1]
    assert pick_command(LoggedSearch("s", history_of(plan, [])), "runs/s") == ""


def test_no_key_of_a_bucket_is_shown() -> None:
    options = {"storage": "s3://KEY:SECRET@bucket/prefix"}
    assert repeat_command(options) == "python search/run.py --storage 's3://***@bucket/prefix'"
