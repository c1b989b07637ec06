from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from search.log.events import VERSION, Event
from search.log.history import History
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import (
    COMPARED_OPTIONS,
    changed_versions,
    check_resumable,
    header,
    with_chosen,
)
from tests.search.planning.every_option import GIVEN
from trainable.errors import InputError
from trainable.run_config import RunConfig

MakePlan = Callable[..., Plan]


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    return plan_of(space="smoke", scheduler="promotion-asha")


def begun(plan: Plan, n_trials: int = 0, **changed: Any) -> Plan:
    """Return the plan of a later driver, of a search that another one began with this header."""
    now = header(plan)
    changed["options"] = {**now["options"], **changed.get("options", {})}
    event: Event = {"event": "search", "time": 0.0, "slots": 1, **now, **changed}
    history = History([json.loads(json.dumps(event))])
    for number in range(n_trials):
        given = {"trial": number, "params": {}, "run_config": {}, "bracket": 0, "origin": ""}
        history.apply({"event": "suggested", "time": 0.0, **given})
    return replace(plan, earlier=history)


def test_the_same_search_may_go_on(plan: Plan) -> None:
    check_resumable(begun(plan, n_trials=plan.n_trials))


def test_a_log_without_its_first_line_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="stopped before it began; start anew with another --name"):
        check_resumable(plan)


# Of the options, these are compared by what they lead to: the data by their fingerprint, the trials
# by how many have begun.
BY_RESULT = {"data", "data_dir", "tasks", "trials"}
MAY_DIFFER = {
    *("max_concurrent", "time_limit", "max_device_hours", "min_gain", "name", "storage"),
    *("checkpoint", "cpus_per_trial", "gpus_per_trial", "address", "resume", "dry_run", "quiet"),
    *("log", "finalists", "price"),
}


def test_every_option_is_compared_or_may_differ() -> None:
    """A new option has to be put into one of the three lists."""
    named = [*COMPARED_OPTIONS, *BY_RESULT, *MAY_DIFFER]
    assert sorted(named) == sorted(field.name for field in fields(SearchOptions))


@pytest.mark.parametrize("name", COMPARED_OPTIONS)
def test_each_option_that_is_compared_is_named_with_both_values(plan: Plan, name: str) -> None:
    _, then = GIVEN[name]
    now = getattr(plan.options, name)
    assert then != now
    with pytest.raises(InputError, match="the options that the search was started with") as caught:
        check_resumable(begun(plan, options={name: then}))
    option = f"--{name.replace('_', '-')}"
    values = then if isinstance(then, tuple) else [then]
    text = ", ".join(map(str, values))
    again = " ".join(f"{option} {shlex.quote(str(value))}" for value in values)
    expected = (
        f"{option} was {text} and is not given now: give {again} again;"
        if now in (None, ())
        else f"{option} was {text}, now it is {now};"
    )
    begin = f"--resume: {plan.folder.uri} was started with other options: "
    assert str(caught.value).startswith(f"{begin}{expected} give the options that")


def test_all_options_that_differ_are_named_at_once(plan: Plan) -> None:
    options = {"budget": "60k", "units": 4, "fix": ["a=1", "b=x y"], "encoder": "tiny"}
    with pytest.raises(InputError) as caught:
        check_resumable(begun(plan, options=options))
    first, *lines, last = str(caught.value).splitlines()
    assert first.endswith("was started with other options:")
    assert lines == [
        "  --budget was 60k, now it is 90000",
        "  --units was 4, now it is 9",
        "  --fix was a=1, b=x y and is not given now: give --fix a=1 --fix 'b=x y' again",
    ]
    assert last.startswith("give the options that the search was started with")


@pytest.mark.parametrize("name", COMPARED_OPTIONS)
def test_an_option_that_the_log_does_not_have_counts_as_not_given(plan: Plan, name: str) -> None:
    """Logs of older versions lack some."""
    later = begun(plan)
    del later.earlier.header["options"][name]
    if getattr(plan.options, name) in (None, ()):
        check_resumable(later)
    else:
        with pytest.raises(InputError, match="was not given, now it is"):
            check_resumable(later)


@pytest.mark.parametrize(
    ("name", "then"), [("data_fingerprint", "0ther"), ("rungs", [1, 9]), ("units", 27)]
)
def test_what_the_options_lead_to_is_compared_too(plan: Plan, name: str, then: Any) -> None:
    with pytest.raises(InputError, match="the options that the search was started with") as caught:
        check_resumable(begun(plan, **{name: then}))
    assert f"--resume: {name} of {plan.folder.uri} was {json.dumps(then)}, now" in str(caught.value)


def test_another_space_is_said_in_a_line_and_not_param_by_param(
    plan: Plan, plan_of: MakePlan
) -> None:
    full = plan_of(space="full", name="search")
    with pytest.raises(InputError) as caught:
        check_resumable(replace(plan, earlier=begun(full).earlier))
    message = str(caught.value)
    assert "--space was full, now it is smoke" in message
    assert "\n" not in message


def test_a_searcher_that_this_version_no_longer_has_is_named(plan: Plan) -> None:
    """Its trials stay readable, and another search may learn from them."""
    then = begun(plan, n_trials=2, options={"searcher": "rung-tpe"})
    assert len(then.earlier.trials) == 2
    with pytest.raises(InputError) as caught:
        check_resumable(then)
    message = str(caught.value)
    assert "--searcher was rung-tpe, now it is rung-gp" in message
    assert "start another --name" in message


@pytest.mark.parametrize("name", sorted(MAY_DIFFER))
def test_limits_and_resources_may_differ(plan: Plan, name: str) -> None:
    _, then = GIVEN[name]
    assert then != getattr(plan.options, name)
    check_resumable(begun(plan, options={name: then}))


@pytest.mark.parametrize("name", sorted(BY_RESULT))
def test_equal_data_may_lie_elsewhere_and_trials_may_be_more(plan: Plan, name: str) -> None:
    check_resumable(begun(plan, options={name: GIVEN[name][1]}))


def test_tasks_with_other_metrics_or_weights_are_refused(plan: Plan) -> None:
    tasks = header(plan)["tasks"]
    changed = tasks | {"sts": tasks["sts"] | {"metric": "spearman"}}
    with pytest.raises(InputError, match=r"tasks\.sts\.metric .* \"spearman\", now .* \"pearson\""):
        check_resumable(begun(plan, tasks=changed))


def test_versions_of_all_that_computes_or_searches_are_in_the_log(plan: Plan) -> None:
    packages = ("ray", "optuna", "torch", "transformers", "datasets", "tokenizers")
    expected = {name: importlib.metadata.version(name) for name in packages}
    assert header(plan)["versions"] == {"python": platform.python_version(), **expected}


def test_versions_that_changed_are_noted(plan: Plan) -> None:
    then = header(plan)["versions"]
    assert changed_versions(begun(plan).earlier) == []
    (note,) = changed_versions(begun(plan, versions={**then, "ray": "2.1.0", "gone": "1"}).earlier)
    assert note == f"the search began with ray 2.1.0, now {then['ray']}"


def test_what_is_in_the_file_of_priors_may_not_change(plan_of: MakePlan, tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text('"*.lr": {center: 2e-3, spread: 0.1}\n"*.pair": {joint: 3}\n')
    plan = plan_of(space="smoke", priors=str(path))
    assert header(plan)["priors"] == [
        ["*.lr", {"center": 2e-3, "spread": 0.1}],
        ["*.pair", {"joint": 3}],
    ]
    then = begun(plan)
    check_resumable(then)
    path.write_text('"*.lr": {center: 3e-3, spread: 0.1}\n"*.pair": {joint: 3}\n')
    with pytest.raises(InputError, match=r"^--resume: what is in --priors of .* was .*0\.002"):
        check_resumable(then)


def test_a_search_without_a_file_of_priors_has_none_in_its_log(plan_of: MakePlan) -> None:
    for priors in (None, "off"):
        plan = plan_of(space="smoke", priors=priors)
        assert "priors" not in header(plan)
        check_resumable(begun(plan))


def test_a_space_that_changed_is_refused_param_by_param(plan: Plan) -> None:
    space = {"gone": {}, **header(plan)["space"]}
    lr = "multitask.optimization.lr"
    space[lr] = {**space[lr], "high": 0.5}
    del space["sts.pair"]
    with pytest.raises(InputError) as caught:
        check_resumable(begun(plan, space=space))
    assert str(caught.value).splitlines()[1:-1] == [
        "  sts.pair is new",
        "  gone is gone",
        f"  {lr} was 0.001 .. 0.5 (log), now it is 0.001 .. 0.01 (log)",
    ]
    assert f"--warm-start {plan.folder.uri}" in str(caught.value)


def test_not_every_param_of_another_space_is_listed(plan: Plan) -> None:
    space = {f"gone{k}": {} for k in range(20)} | header(plan)["space"]
    with pytest.raises(InputError) as caught:
        check_resumable(begun(plan, space=space))
    named = [f"  gone{k} is gone" for k in range(8)]
    assert str(caught.value).splitlines()[1:-1] == [*named, "  and 12 more"]


def test_a_condition_that_changed_is_shown(plan_of: MakePlan) -> None:
    plan = plan_of(space="heads")
    space = header(plan)["space"]
    name = next(name for name in space if len(space[name]["parents"]) == 2)
    (parent, kind), (other, last) = space[name]["parents"]
    changed = {**space, name: {**space[name], "parents": [[other, last]]}}
    with pytest.raises(InputError) as caught:
        check_resumable(begun(plan, space=changed))
    (line,) = str(caught.value).splitlines()[1:-1]
    assert f" if {other} = {last}, now it is " in line
    assert line.endswith(f" if {parent} = {kind} and {other} = {last}")


def test_fewer_trials_than_were_begun_are_refused(plan: Plan) -> None:
    later = begun(plan, n_trials=5)
    check_resumable(replace(later, n_trials=5))
    with pytest.raises(InputError, match=r"--trials 4: .* has begun 5 already"):
        check_resumable(replace(later, n_trials=4))


def test_a_log_of_another_version_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match=rf"version 1, this program reads {VERSION}"):
        begun(plan, version=1)


OWN: dict[str, Any] = {
    "space": "smoke",
    "fix": ("sst.dropout=0.2", "para.pair.joint.head=linear"),
    "range": ("multitask.optimization.lr=1e-3..5e-3",),
}


def test_a_space_of_one_s_own_is_in_the_log_with_what_does_not_vary(plan_of: MakePlan) -> None:
    plan = plan_of(**OWN)
    logged = json.loads(json.dumps(header(plan)))
    assert RunConfig.from_dict(logged["edited"]["base"], "log") == plan.space.base
    assert logged["edited"]["fixed"] == {"sst.dropout": 0.2, "para.pair.joint.head": "linear"}
    assert logged["options"]["fix"] == list(OWN["fix"])
    assert "edited" not in header(plan_of(space="smoke"))
    check_resumable(begun(plan, n_trials=2))


def test_what_does_not_vary_is_compared(plan_of: MakePlan) -> None:
    """The file of a space, or of a base, may have changed although its name is the same."""
    plan = plan_of(**OWN)
    then = json.loads(json.dumps(header(plan)["edited"]))
    then["fixed"]["para.pair.joint.head"] = "mlp"
    with pytest.raises(InputError, match=r'joint.head of .* was "mlp", now it is "linear"'):
        check_resumable(begun(plan, edited=then))
    then = json.loads(json.dumps(header(plan)["edited"]))
    then["base"]["multitask"]["optimization"]["weight_decay"] = 0.5
    with pytest.raises(InputError, match=r"weight_decay of .* was 0.5, now it is 0.01"):
        check_resumable(begun(plan, edited=then))
    then = json.loads(json.dumps(header(plan)["edited"]))
    then["base"]["data"] = {"kind": "cs224n", "dir": "/elsewhere"}
    check_resumable(begun(plan, edited=then))


def test_what_was_chosen_for_a_time_limit_is_kept(plan_of: MakePlan) -> None:
    chosen = {"trials": 14, "budget": "310000"}
    plan = replace(plan_of(space="smoke", budget="310000", trials=14), chosen=chosen)
    earlier = begun(plan).earlier
    assert earlier.header["chosen"] == chosen
    again = replace(plan.options, budget=None, trials=None, resume=True)
    kept = with_chosen(again, earlier)
    assert (kept.budget, kept.trials) == ("310000", None)  # trials are those of the log
    check_resumable(replace(plan, options=kept, earlier=earlier))
    assert with_chosen(replace(again, budget="3ep"), earlier).budget == "3ep"  # is refused later
    assert with_chosen(again, History()) == again
