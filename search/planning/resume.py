"""The first line of a search's log, and whether `--resume` may go on with that search."""

from __future__ import annotations

import json
import platform
import shlex
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from search.log.events import VERSION
from search.log.history import History
from search.planning.options import SearchOptions
from search.planning.own_space import is_own, read_priors
from search.planning.plan import Plan
from spaces.space import Space
from trainable.component import Value, domain_from_json
from trainable.errors import InputError

# If one of these changed, trials could no longer be compared, or the old value would stay in use
# without a word. Data are compared by their fingerprint, the space by its params.
COMPARED_OPTIONS = (
    "space",
    "encoder",
    "budget",
    "units",
    "precision",
    "searcher",
    "scheduler",
    "eta",
    "brackets",
    "audit",
    "beam",
    "priors",
    "seed",
    "warm_start",
    "rows",
    "repeats",
    "text_data",
    "nli_data",
    "fix",
    "range",
    "choices",
    "vary",
    "base",
    "objective",
)
_MOST_NAMED = 8  # params, in a message
_PACKAGES = ("ray", "optuna", "torch", "transformers", "datasets", "tokenizers")


def header(plan: Plan) -> dict[str, Any]:
    """Return the fields of the log's first event."""
    edited = {"base": plan.space.base.to_dict(), "fixed": _fixed(plan)}
    return {
        "version": VERSION,
        "options": asdict(plan.options),
        **({"edited": edited} if is_own(plan.options) else {}),
        **({"chosen": plan.chosen} if plan.chosen else {}),
        **({"priors": own} if (own := _priors(plan)) else {}),
        "n_trials": plan.n_trials,
        "points": [[params, origin] for params, origin in plan.points],
        "rungs": list(plan.rungs),
        "units": plan.options.units,
        "space": {param.name: param.to_json() for param in plan.space.params()},
        "versions": versions(),
        "data_fingerprint": plan.data_fingerprint,
        "tasks": {name: task.model_dump(mode="json") for name, task in plan.tasks.items()},
    }


def _priors(plan: Plan) -> list[list[Any]]:
    """Return pattern and entry for each of the user's own priors, as the log keeps them."""
    own = [[edit.pattern, edit.given] for edit in read_priors(plan.options)]
    return list(json.loads(json.dumps(own)))


def _fixed(plan: Plan) -> dict[str, Value]:
    return plan.space.fixed if isinstance(plan.space, Space) else {}


def versions() -> dict[str, str]:
    """Return name -> version of Python and of the packages that compute or search."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def with_chosen(options: SearchOptions, earlier: History) -> SearchOptions:
    """Return options with the budget that was chosen for the time limit of a search that goes on.

    One that the user gives now counts: it is compared with it, as any other option is.
    """
    budget = earlier.header.get("chosen", {}).get("budget")
    return options if options.budget is not None else replace(options, budget=budget)


def check_resumable(plan: Plan) -> None:
    """Refuse to go on with a search that was started with other options.

    Raises:
        InputError: The log has no whole first line or is of another version; data, space, rungs or
            an option that every trial depends on differ; `--trials` is less than were begun.
    """
    history = plan.earlier
    then = history.header
    if not then:
        raise InputError(
            f"--resume: {plan.folder.uri} was stopped before it began; start anew with another "
            f"--name"
        )
    now = header(plan)
    _check_options(plan, then["options"], now["options"])
    _check_equal(plan, "what is in --priors", then.get("priors"), now.get("priors"))
    for key in ("data_fingerprint", "units", "rungs"):
        _check_equal(plan, key, then[key], now[key])
    tasks = _leaves(now["tasks"], "tasks")
    before = _leaves(then["tasks"], "tasks") if "tasks" in then else tasks
    for key in dict.fromkeys([*before, *tasks]):
        _check_equal(plan, key, before.get(key), tasks.get(key))
    _check_space(plan, then["space"], now["space"])
    if "edited" in now:
        _check_fixed(plan, then.get("edited", {}), now["edited"])
    if plan.n_trials < len(history.trials):
        raise InputError(
            f"--trials {plan.n_trials}: {plan.folder.uri} has begun {len(history.trials)} already; "
            f"give at least as many"
        )


def changed_versions(earlier: History) -> list[str]:
    """Return a note if the search began with other versions, since results may differ then."""
    then, now = earlier.header["versions"], versions()
    changed = [f"{k} {then.get(k)}, now {now[k]}" for k in now if then.get(k) != now[k]]
    return [f"the search began with {'; '.join(changed)}"] if changed else []


def _check_options(plan: Plan, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse other options than the search began with; the message names each of them."""
    found = []
    for key in COMPARED_OPTIONS:
        value = now[key]
        # Older versions had none of the options that may be given more than once.
        before = list(then.get(key, [])) if isinstance(value, tuple) else then.get(key)
        value = list(value) if isinstance(value, tuple) else value
        if before != value:
            found.append(_other_option(f"--{key.replace('_', '-')}", before, value))
    if found:
        separator = "\n" if len(found) > 1 else " "
        listed = "".join(f"\n  {own}" for own in found) if len(found) > 1 else f" {found[0]};"
        raise InputError(
            f"--resume: {plan.folder.uri} was started with other options:{listed}{separator}give "
            f"the options that the search was started with, or start another --name"
        )


def _other_option(option: str, then: Any, now: Any) -> str:
    """Return how an option differs from the one that the search began with."""
    if then in (None, []):
        return f"{option} was not given, now it is {_text(now)}"
    if now not in (None, []):
        return f"{option} was {_text(then)}, now it is {_text(now)}"
    again = " ".join(
        f"{option} {shlex.quote(str(own))}" for own in (then if isinstance(then, list) else [then])
    )
    return f"{option} was {_text(then)} and is not given now: give {again} again"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_equal(plan: Plan, key: str, then: Any, now: Any) -> None:
    if then != now:
        raise InputError(
            f"--resume: {key} of {plan.folder.uri} was {_short(then)}, now it is {_short(now)}; "
            f"give the options that the search was started with, or start another --name"
        )


def _check_space(plan: Plan, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse another space; the message names the params that differ."""
    lines = [f"{name} is new" for name in now if name not in then]
    lines += [f"{name} is gone" for name in then if name not in now]
    for name in then:
        if name in now and then[name] != now[name]:
            lines.append(f"{name} was {_range(then[name])}, now it is {_range(now[name])}")
    if lines:
        more = [f"and {len(lines) - _MOST_NAMED} more"] if len(lines) > _MOST_NAMED else []
        listed = "".join(f"\n  {line}" for line in [*lines[:_MOST_NAMED], *more])
        raise InputError(
            f"--resume: the space of {plan.folder.uri} has changed:{listed}\n"
            f"give the options that the search was started with, or let a new search learn from "
            f"it: --name OTHER --warm-start {plan.folder.uri}"
        )


def _check_fixed(plan: Plan, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse other values of what does not vary; the data are compared by their fingerprint."""
    for part in ("fixed", "base"):
        before, after = _leaves(then.get(part, {})), _leaves(now[part])
        for name in {**before, **after}:
            if not name.startswith("data."):
                _check_equal(plan, name, before.get(name), after.get(name))


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return dotted name -> value for everything in a nested object."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        name: leaf
        for key, own in value.items()
        for name, leaf in _leaves(own, f"{path}.{key}" if path else key).items()
    }


def _range(fields: dict[str, Any]) -> str:
    condition = " and ".join(f"{parent} = {kind}" for parent, kind in fields["parents"])
    return str(domain_from_json(fields)) + (f" if {condition}" if condition else "")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
