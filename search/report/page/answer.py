"""What a search found, in a sentence; what it gained over the default; and how to repeat it."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import fields
from typing import Any

from search.log.leaderboard import gained
from search.planning.options import SearchOptions
from search.report.best import BEST
from search.report.logged_search import LoggedSearch, name_of
from search.report.pareto import finished

_NOT_REPEATED = ("resume", "dry_run", "quiet")


def answer(search: LoggedSearch) -> str:
    """Return the result so far in a sentence."""
    winner, n = search.winner, len(search.history.trials)
    if winner is None:
        return f"No trial has a score yet ({n} of {search.history.n_trials} have begun)."
    units = search.units
    ran = f"all {units} units" if winner.units >= units else f"{winner.units} of {units} units"
    confirm = winner.last.get("confirm_score")
    scores = f"{winner.score:.4f} on select"
    if winner.verdict is not None:  # which says what its score on confirm is, over more seeds
        scores = f"{scores} with its first seed"
    elif confirm is not None:
        scores = f"{confirm:.4f} on confirm, which the search did not see, and {scores}"
    so_far = "" if search.is_over else " so far"
    return (
        f"Trial {winner.number} ({name_of(winner)}) is the best of {n} trials{so_far}: "
        f"{scores}, after {ran}."
    )


def gain(search: LoggedSearch) -> str:
    """Return what was gained over the default, and why it leads or could not be compared."""
    trials = list(search.history.trials.values())
    if search.winner is not None and search.default is None:
        return "The default is none of the trials, so nothing can be said of a gain over it."
    found = (gained(trials), search.lead.reason)
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in found if text)


def state(search: LoggedSearch) -> str:
    """Return how many trials are where."""
    counts: dict[str, int] = {}
    for trial in search.history.trials.values():
        counts[trial.status] = counts.get(trial.status, 0) + 1
    parts = [f"{n} {status}" for status, n in sorted(counts.items(), key=lambda item: -item[1])]
    to_come = search.history.n_trials - len(search.history.trials)
    return ", ".join([*parts, *([f"{to_come} to come"] if to_come > 0 else [])])


def commands(search: LoggedSearch, folder: str) -> list[tuple[str, str]]:
    """Return (what for, command) pairs that repeat the search and go on from it.

    Args:
        search: The search.
        folder: Its folder, or its URI where it is kept in a bucket.
    """
    options = search.history.header["options"]
    found = [("Run the search again", repeat_command(options))]
    if not search.is_over:
        same = repeat_command({**options, "trials": None})  # it may have more by now: it keeps them
        found.append(("Go on with it", f"{same} --name {shlex.quote(search.name)} --resume"))
    if search.winner is not None:
        best = shlex.quote(f"{folder}/{BEST}")
        found.append(("Train the best again", f"python search/retrain.py {best} --seeds 3"))
    quoted = shlex.quote(folder)
    found.append(("Write this page again", f"python search/export.py {quoted}"))
    found.append(("See all curves", f"tensorboard --logdir {quoted}"))
    return found


def pick_command(search: LoggedSearch, folder: str) -> str:
    """Return an example that takes the full run that is best at the last task; empty without."""
    full = finished(search.ranked, search.tasks)
    if not full:
        return ""
    task = list(search.tasks.values())[-1]
    best = max(float(trial.last[task.metric_key] or 0.0) for trial in full)
    bound = math.floor(best * 1000) / 1000  # rounded up, nothing would fulfil it
    return f"python search/export.py {shlex.quote(folder)} --pick '{task.name}>={bound:g}'"


def repeat_command(options: dict[str, Any]) -> str:
    """Return the command with the options that are not the defaults; its name is left out."""
    words = ["python search/run.py"]
    defaults = SearchOptions()
    for field in fields(SearchOptions):
        value, usual = options.get(field.name), getattr(defaults, field.name)
        if field.name in (*_NOT_REPEATED, "name") or value in (usual, None):
            continue
        if field.name == "data" and value == "tasks":
            continue
        if isinstance(value, list | tuple):
            words += [_option(field.name, own) for own in value]
        elif not isinstance(value, bool):
            words.append(_option(field.name, value))
    return " ".join(words)


def _option(name: str, value: Any) -> str:
    text = re.sub(r"(?<=://)[^/@]*@", "***@", str(value))  # a key in a URI is nobody's business
    return f"--{name.replace('_', '-')} {shlex.quote(text)}"
