"""A search as an Optuna study in a database, for optuna-dashboard and Optuna's own analyses.

The study is a copy made from the event log: nothing reads it back, and a later export of the same
search replaces its trials. A trial of the study is

    COMPLETE  after its full budget; its value is the last score
    PRUNED    stopped, paused or interrupted after a score; its value is the last score
    FAIL      failed, or ended without a score
    RUNNING   under way where the log ends

and what Optuna has no field for is in its user attributes: the scores of the tasks, who proposed
it, what it cost, why it failed.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.history import History
from search.study_tables import write_tables
from search.trial_record import TrialRecord
from spaces.domains import to_optuna
from trainable.component import domain_from_json
from trainable.errors import InputError
from trainable.evaluation import SCORE_KEYS

_OPTIONS = ("data", "encoder", "space", "searcher", "scheduler", "budget", "units", "seed")


def write_study(search: str, history: History, url: str) -> None:
    """Write a study of the name of the search; that of an earlier export is replaced.

    Args:
        search: Name of the search.
        history: What happened in it.
        url: Of the database, as SQLAlchemy reads it; a file of SQLite is made.

    Raises:
        InputError: The database cannot be written, or has a study of this name that is another's.
    """
    header = history.header
    options: dict[str, Any] = header["options"]
    attributes = {key: options.get(key) for key in _OPTIONS}
    attributes |= {key: header[key] for key in ("data_fingerprint", "versions")}
    write_tables(url, search, header["time"], attributes, frozen_trials(history))


def frozen_trials(history: History) -> list[FrozenTrial]:
    """Return the trials of a search as Optuna knows them, in the order of their numbers.

    Raises:
        InputError: The params of a trial are not of the space that the log's first line tells.
    """
    space = {
        name: to_optuna(domain_from_json(fields))
        for name, fields in history.header["space"].items()
    }
    return [_frozen(trial, space) for trial in history.trials.values()]


def _frozen(trial: TrialRecord, space: dict[str, BaseDistribution]) -> FrozenTrial:
    state = _state(trial)
    try:
        frozen = create_trial(
            state=state,
            value=trial.score if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            params=dict(trial.params),
            distributions={name: space[name] for name in trial.params if name in space},
            user_attrs=_attributes(trial),
            intermediate_values={unit: _score_at(trial, unit) for unit in sorted(trial.reports)},
        )
    except ValueError as error:
        raise InputError(
            f"trial {trial.number} does not go with the space in the first line of the log: {error}"
        ) from error
    frozen.number = trial.number
    frozen.datetime_start = datetime.fromtimestamp(trial.started)
    if state.is_finished():
        frozen.datetime_complete = datetime.fromtimestamp(trial.ended)
    return frozen


def _state(trial: TrialRecord) -> TrialState:
    if trial.status == "running":
        return TrialState.RUNNING
    if trial.status == "failed" or not math.isfinite(trial.score):
        return TrialState.FAIL
    return TrialState.COMPLETE if trial.status == "done" else TrialState.PRUNED


def _score_at(trial: TrialRecord, unit: int) -> float:
    """Return a score; NaN where it is not known, as Optuna has it of a report of NaN."""
    score = trial.score_at(unit)
    return score if math.isfinite(score) else math.nan


def _attributes(trial: TrialRecord) -> dict[str, Any]:
    """Return what Optuna has no field for; what is not known is left out."""
    keys = [*SCORE_KEYS[1:], *(f"confirm_{key}" for key in SCORE_KEYS)]  # `score` is the value
    found = {
        "status": trial.status,
        "origin": trial.origin,
        "bracket": trial.bracket,
        "units": trial.units,
        "place_seconds": round(trial.place_seconds, 3),
        "error": trial.error,
        **{key: trial.last.get(key) for key in keys},
    }
    return {key: value for key, value in found.items() if value is not None}
