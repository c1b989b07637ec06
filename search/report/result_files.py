"""The results that follow from the event log alone: trials.csv, best.json, ablation.csv."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from search.log.history import History
from search.log.leaderboard import leaderboard
from search.log.trial import TrialRecord
from search.report.ablation_table import FILE as ABLATION
from search.report.ablation_table import ablation_csv, ablation_rows
from search.report.best import best_of
from search.report.logged_search import LoggedSearch
from trainable.cache.files import separated_line
from trainable.learning import learning_keys
from trainable.metrics import score_keys
from trainable.tasks import Tasks

# Seconds that a trial held a slot, and all from its suggestion to its end: pauses and waiting, too.
_SECONDS = ("slot_seconds", "elapsed_seconds")


def result_files(search: str, history: History) -> dict[str, str]:
    """Return file name -> content; there is no best.json before a trial reports a score.

    Args:
        search: Name of the search.
        history: What happened in it.
    """
    table = trials_csv(history.trials.values(), history.header["space"], history.tasks)
    files = {"trials.csv": table}
    if history.best is not None:
        files["best.json"] = best_json(search, history, history.best)
    rows = ablation_rows(LoggedSearch(search, history))
    if rows:
        files[ABLATION] = ablation_csv(rows)
    return files


def best_json(search: str, history: History, trial: TrialRecord) -> str:
    """Return the content of best.json for a trial."""
    best = best_of(search, history, trial).model_dump(mode="json")
    return json.dumps(best, indent=2, allow_nan=False) + "\n"


def trials_csv(trials: Iterable[TrialRecord], params: Iterable[str], tasks: Tasks) -> str:
    """Return one line per trial, best first; a param that a trial lacks is empty."""
    names = list(params)
    keys = score_keys(tasks)
    confirm = [f"confirm_{key}" for key in keys]
    metrics = [*keys, *confirm, *learning_keys(tasks), "tokens"]
    lines = [_csv_line(["trial", "status", "units", *metrics, *_SECONDS, *names, "error"])]
    for trial in leaderboard(trials):
        row: list[Any] = [trial.number, trial.status, trial.units]
        row += [trial.last.get(key) for key in metrics]
        row += [round(trial.slot_seconds, 1), round(trial.ended - trial.started, 1)]
        row += [trial.params.get(name) for name in names]
        lines.append(_csv_line(["" if v is None else v for v in [*row, trial.error]]))
    return "".join(lines)


def _csv_line(cells: list[Any]) -> str:
    """Return a line of trials.csv."""
    # The error of a path that is not UTF-8 has halves of characters, which UTF-8 does not have.
    return separated_line(cells, ",").encode("utf-8", "backslashreplace").decode()
