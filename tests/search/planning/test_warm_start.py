from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.log.events import EventLog, new_event
from search.log.find_folder import find_folder
from search.log.folder import EVENTS
from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from search.planning.warm_start import carry_over, other_search
from search.searchers.gp.results_by_rung import RungResults
from tests.search.planning.every_option import GIVEN
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]


def logged(plan: Plan, trials: list[TrialRecord], **changed: Any) -> None:
    """Write the log of a search as its driver would have."""
    log = EventLog(plan.folder.local / EVENTS)
    log.append(new_event("search", **{**header(plan), **changed}))
    for trial in trials:
        chosen = {"params": trial.params, "run_config": trial.run_config}
        log.append(new_event("suggested", trial=trial.number, bracket=0, origin="random", **chosen))
        for unit, metrics in trial.reports.items():
            own = {"unit": unit, "metrics": metrics, "failure": ""}
            log.append(new_event("reported", trial=trial.number, **own))
        log.append(new_event("ended", trial=trial.number, status=trial.status, error=trial.error))
    log.close()


@pytest.fixture
def heads(plan_of: MakePlan, trial_of: MakeTrial) -> Plan:
    """A search over heads, with trials in several states in its log."""
    plan = plan_of(space="heads", name="heads")
    trials = [
        trial_of(plan, 0, {1: 0.3, 3: 0.4, 9: 0.5}),
        trial_of(plan, 1, {1: 0.2}, "stopped"),
        trial_of(plan, 2, {1: -1 / 3}, "failed", "RunFailed: the loss is nan"),
        trial_of(plan, 3, {}, "interrupted"),
        trial_of(plan, 4, {}, "failed", "OutOfMemoryError"),
    ]
    logged(plan, trials)
    return plan


def carried(plan: Plan, given: str, **changed: Any) -> Any:
    """Carry over into the search of a plan."""
    options = replace(plan.options, warm_start=given)
    now: dict[str, Any] = {
        "data_fingerprint": plan.data_fingerprint,
        "budget": plan.budget,
        "encoder": EncoderConfig(source=plan.space.base.encoder.source),
    }
    options = replace(options, **{k: v for k, v in changed.items() if k not in now})
    now = {key: changed.get(key, value) for key, value in now.items()}
    return carry_over(options, other_search(options), plan.space, **now)


@pytest.mark.parametrize("by", ["name", "folder", "uri"])
def test_trials_with_a_score_or_an_error_are_carried_over_with_it(
    heads: Plan, plan_of: MakePlan, by: str
) -> None:
    folder = heads.folder
    given = {"name": "heads", "folder": str(folder.local), "uri": f"file://{folder.local}"}[by]
    trials, notes = carried(plan_of(space="heads", name="second"), given)
    assert notes == (f"--warm-start {given}: 4 trials carried over",)
    there = History(json.loads(line) for line in (folder.local / EVENTS).read_text().splitlines())
    assert [fields["status"] for fields in trials] == ["done", "done", "failed", "failed"]
    for fields, number in zip(trials, (0, 1, 2, 4), strict=True):
        trial = there.trials[number]
        assert fields["search"] == given
        assert fields["params"] == trial.params
        assert fields["run_config"] == trial.run_config
        assert fields["reports"] == {
            unit: {key: metrics[key] for key in ("score", "sst_acc", "para_acc", "sts_corr")}
            for unit, metrics in trial.reports.items()
        }


def test_what_is_carried_over_is_for_the_searcher(heads: Plan, plan_of: MakePlan) -> None:
    trials, _ = carried(plan_of(space="heads", name="second"), "heads")
    events = [json.loads(json.dumps(new_event("imported", **fields))) for fields in trials]
    history = History(events)
    assert history.trials == {}
    assert [trial.score for trial in history.imported] == [0.5, 0.2, -1 / 3, -math.inf]


def test_failed_ones_count_as_bad_here_too(heads: Plan, plan_of: MakePlan) -> None:
    plan = plan_of(space="heads", name="second")
    history = History(new_event("imported", **fields) for fields in carried(plan, "heads")[0])
    results = RungResults(plan.rungs, plan.space.params())
    results.read(history)
    assert results.at(9, 9, 9, random.Random(0)) == [0]
    assert results.failed == [2, 3]  # trial 1 was stopped before
    assert results.pending == []


def test_a_log_that_does_not_say_how_imported_trials_ended_has_done_ones_only() -> None:
    event = new_event("imported", params={}, run_config={}, reports={"1": {"score": 0.5}})
    assert [trial.status for trial in History([event]).imported] == ["done"]


def test_a_larger_space_takes_all_and_has_params_that_were_fixed(
    heads: Plan, plan_of: MakePlan
) -> None:
    plan = plan_of(space="full", name="second")
    trials, _ = carried(plan, "heads")
    assert len(trials) == 4
    in_heads, _ = carried(plan_of(space="heads", name="third"), "heads")
    for more, fewer in zip(trials, in_heads, strict=True):
        assert more["params"].items() > fewer["params"].items()
        assert plan.space.params_of(RunConfig.from_dict(more["run_config"], "")) == more["params"]


def test_what_a_space_cannot_express_is_named_and_left_out(
    plan_of: MakePlan, trial_of: MakeTrial, heads: Plan
) -> None:
    trials, notes = carried(plan_of(space="smoke", name="second"), "heads")
    assert len(trials) < 4
    assert notes[0] == f"--warm-start heads: {len(trials)} trials carried over"
    reasons = [
        re.fullmatch(r"--warm-start heads: (\d) not, such as .+ is .+", n) for n in notes[1:]
    ]
    assert sum(int(reason[1]) for reason in reasons if reason) == 4 - len(trials)


# What has to be equal for scores to be comparable: there the value differs, here it is this plan's.
COMPARED = {
    "data": ({"data_fingerprint": "other"}, "data was "),
    "encoder": ({"encoder": EncoderConfig(source="a/b")}, "encoder was tiny there and is a/b here"),
    "revision": (
        {"encoder": EncoderConfig(source="tiny", revision="abc")},
        "revision was None there and is abc here",
    ),
    "budget": ({"budget": 77}, "budget was 90000 there and is 77 here"),
    "units": ({"units": 27}, "units was 9 there and is 27 here"),
    "precision": ({"precision": "bf16"}, "precision was fp32 there and is bf16 here"),
}
# The data and the encoder themselves are compared, not what they are called.
RESOLVED = {"data", "data_dir", "tasks", "encoder", "budget", "resume", "warm_start", "objective"}
# What may differ, since it changes neither the score of a configuration nor its meaning.
IRRELEVANT = {
    *("fix", "range", "choices", "vary", "base", "priors", "space", "rows", "repeats"),
    *("searcher", "beam", "scheduler", "eta", "brackets", "audit", "seed"),
    *("text_data", "nli_data", "trials", "time_limit", "max_device_hours", "min_gain"),
    *("price", "finalists"),
    *("address", "max_concurrent", "cpus_per_trial", "gpus_per_trial"),
    *("name", "checkpoint", "dry_run", "quiet", "log"),
    "storage",  # where the other search is looked for, if its name is given
}


@pytest.mark.parametrize("key", COMPARED)
def test_scores_that_cannot_be_compared_are_not_carried_over(
    heads: Plan, plan_of: MakePlan, key: str
) -> None:
    changed, named = COMPARED[key]
    trials, notes = carried(plan_of(space="heads", name="second"), "heads", **changed)
    assert trials == ()
    assert len(notes) == 1
    assert named in notes[0]
    assert notes[0].endswith(
        "; the best of its finished configurations are tried first, at most 4 and a third of the "
        "trials"
    )


def test_the_best_configurations_of_such_a_search_come_behind_the_default(
    heads: Plan,
) -> None:
    plan = begun(heads, "second", 9)
    assert [origin for _, origin in plan.points] == ["default", "trial 0 of heads"]
    there = History(
        json.loads(line) for line in (heads.folder.local / EVENTS).read_text().splitlines()
    )
    assert plan.points[1][0] == there.trials[0].params, "only finished ones, as they were there"
    assert plan.carried == ()
    few = begun(heads, "third", 2)
    assert [origin for _, origin in few.points] == ["default"], "at most a third"


def test_a_search_that_goes_on_has_the_first_trials_that_it_had(heads: Plan) -> None:
    plan = begun(heads, "second", 9)
    logged(plan, [])
    (heads.folder.local / EVENTS).unlink()
    assert begun(heads, "second", 30, resume=True).points == plan.points


def begun(heads: Plan, name: str, trials: int, resume: bool = False) -> Plan:
    """Plan a search beside `heads`, with another budget, that begins with what is best there."""
    return make_plan(
        SearchOptions(
            space="heads",
            warm_start="heads",
            budget="100000",
            name=name,
            trials=trials,
            storage=heads.folder.storage,
            resume=resume,
        )
    )


def test_every_option_is_compared_or_irrelevant() -> None:
    """A new option has to be put into one of the lists."""
    named = [*COMPARED.keys() - {"data", "encoder", "revision", "budget"}, *RESOLVED, *IRRELEVANT]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(SearchOptions))


@pytest.mark.parametrize("name", sorted(IRRELEVANT - {"space", "storage"}))
def test_what_is_irrelevant_may_differ(heads: Plan, plan_of: MakePlan, name: str) -> None:
    _, value = GIVEN[name]
    plan = plan_of(space="heads", name="second")
    assert value != getattr(plan.options, name)
    assert len(carried(plan, "heads", **{name: value})[0]) == 4


def test_a_search_without_trials_is_refused(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke", name="empty")
    logged(plan, [])
    with pytest.raises(InputError, match="'empty': that search has no trials"):
        carried(plan, "empty")


def test_a_search_that_is_not_there_is_refused_by_name(plan_of: MakePlan, tmp_path: Path) -> None:
    plan = plan_of(space="smoke")
    for given in ("nothing", str(tmp_path / "nothing"), f"file://{tmp_path}/nothing"):
        with pytest.raises(InputError, match="no search 'nothing'") as caught:
            carried(plan, given)
        assert f"--warm-start {given!r}" in str(caught.value)
        assert "--resume" not in str(caught.value)


def test_nothing_is_carried_over_unasked_or_twice(heads: Plan, plan_of: MakePlan) -> None:
    plan = plan_of(space="heads", name="second")
    assert carried(plan, "published") == ((), ())
    assert carried(plan, "heads", resume=True) == ((), ())
    assert carried(plan, "heads")[0] != ()


@pytest.mark.parametrize("folder", ["what?", "a#b", "100%25", "[ab]*", "~", "a b", "s3:"])
def test_no_character_of_a_folder_is_a_pattern(
    plan_of: MakePlan, trial_of: MakeTrial, tmp_path: Path, folder: str
) -> None:
    plan = plan_of(space="smoke", name="first")
    storage = tmp_path / folder
    there = find_folder(str(storage), "first", resume=False)
    there.make()
    logged(replace(plan, folder=there), [trial_of(plan, 0, {9: 0.5})])
    assert there.uri == str(storage / "first")
    for given in (there.uri, f"{there.uri}/"):
        assert len(carried(plan, given)[0]) == 1
    (tmp_path / "a").mkdir(exist_ok=True)
    with pytest.raises(InputError, match="did you mean 'first'"):
        find_folder(str(storage), "frist", resume=True)


def test_a_relative_folder_with_or_without_a_slash_at_its_end(
    heads: Plan, plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(space="heads", name="second")
    monkeypatch.chdir(heads.folder.local.parent)
    for given in ("heads", "heads/", "./heads", "../" + heads.folder.local.parent.name + "/heads"):
        assert len(carried(plan, given)[0]) == 4
    monkeypatch.setenv("HOME", str(heads.folder.local.parent))
    monkeypatch.chdir("/")
    assert len(carried(plan, "~/heads")[0]) == 4
