"""A search as an Optuna study in a database, for optuna-dashboard and Optuna's own analyses.

The study is a copy made from the event log: nothing reads it back, and a later export of the same
search replaces it. A trial of the study is

    COMPLETE  after its full budget; its value is the last score
    PRUNED    stopped, paused or interrupted after a score; its value is the last score
    FAIL      failed, or ended without a score
    RUNNING   under way where the log ends

Its user attributes hold what Optuna has no field for: the scores of the tasks, who suggested it,
what it cost, why it failed.

Optuna writes one trial at a time, with a query to the database for each of its params. In a SQLite
file, 1,000 trials take 122 seconds of processor time, 2,000 take 243, and 10,000 would take 20
minutes, plus the disk's time for one commit per trial. Deleting 2,000 trials takes 11 seconds.
Measured with random trials of the space `full` (51 params, 1 to 9 reports), Optuna 5.0, on one of
two cores that other processes kept busy. `optuna.copy_study` from memory, or a SQLite database in
memory, takes a tenth less: SQLAlchemy's own work costs the time, not the disk.
"""

from __future__ import annotations

import math
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from search.log.history import History
from search.log.trial import TrialRecord
from spaces.distributions import to_optuna
from trainable.component import domain_from_json
from trainable.errors import InputError
from trainable.metrics import score_keys

_OPTIONS = ("data", "encoder", "space", "searcher", "scheduler", "budget", "units", "seed")
_BEGUN = "begun"  # start of the search, in seconds since 1970; it identifies the search
_COMPLETE = "export_complete"  # False until the last trial is there


def write_study(search: str, history: History, url: str) -> bool:
    """Write a study with the name of the search; it replaces the study of an earlier export.

    An export that is killed, or in which the database fails, leaves a study whose user attribute
    `export_complete` is False, or an empty one without attributes: Optuna can neither rename a
    study nor write one in one transaction. The next export replaces it. The trials of the export
    before it are gone by then.

    Args:
        search: Name of the search.
        history: What happened in it.
        url: SQLAlchemy's URL of the database; a missing SQLite file is created.

    Returns:
        Whether it has replaced a study that an earlier export left incomplete.

    Raises:
        InputError: The database cannot be written, or has a study of this name that is another's.
    """
    header = history.header
    options: dict[str, Any] = header["options"]
    attributes = {_BEGUN: header["time"], _COMPLETE: False}
    attributes |= {key: options.get(key) for key in _OPTIONS}
    attributes |= {key: header[key] for key in ("data_fingerprint", "versions")}
    trials = frozen_trials(history)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it logs every new study otherwise
    with _database(url) as storage:
        was_incomplete = _delete_earlier(search, header["time"], storage, url)
        study = optuna.create_study(study_name=search, storage=storage, direction="maximize")
        for key, value in attributes.items():
            study.set_user_attr(key, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(["score"])  # so that plots have a title
        study.add_trials(trials)
        study.set_user_attr(_COMPLETE, True)
    return was_incomplete


def _delete_earlier(search: str, begun: float, storage: RDBStorage, url: str) -> bool:
    """Delete the study of an earlier export; returns whether it was incomplete."""
    if search not in optuna.get_all_study_names(storage):
        return False
    study = optuna.load_study(study_name=search, storage=storage)
    attributes = study.user_attrs
    # What an export leaves that was killed before it wrote the first attribute.
    is_empty = not attributes and not study.trials and study.direction == StudyDirection.MAXIMIZE
    if attributes.get(_BEGUN) != begun and not is_empty:
        example = shlex.quote(f"sqlite:///{search}.db")
        raise InputError(
            f"--optuna {shown(url)}: there is a study {search!r} that is not of this search; "
            f"give another database, such as {example}"
        )
    optuna.delete_study(study_name=search, storage=storage)
    return attributes.get(_COMPLETE) is not True


@contextmanager
def _database(url: str) -> Iterator[RDBStorage]:
    """Open a database.

    Raises:
        InputError: It cannot be opened, or an operation on it inside the context fails.
    """
    try:
        storage = RDBStorage(url)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
    # ImportError: the database's driver is not installed. RuntimeError: the tables are those of
    # another version of Optuna.
    except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        raise InputError(
            f"--optuna {shown(url)}: {str(cause).splitlines()[0]}; give the URL of a database that "
            f"this user may write to, such as sqlite:///study.db"
        ) from error


def shown(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(?<=:)[^/:].*(?=@)", "***", url)


def frozen_trials(history: History) -> list[FrozenTrial]:
    """Return the trials of a search as Optuna knows them, in the order of their numbers.

    Raises:
        InputError: A trial's params do not fit the space that the log's first line names.
    """
    space = {
        name: to_optuna(domain_from_json(fields))
        for name, fields in history.header["space"].items()
    }
    keys = score_keys(history.tasks)
    scores = (*keys[1:], *(f"confirm_{key}" for key in keys))  # `score` is the value
    return [_frozen(trial, space, scores) for trial in history.trials.values()]


def _frozen(
    trial: TrialRecord, space: dict[str, BaseDistribution], scores: tuple[str, ...]
) -> FrozenTrial:
    state = _state(trial)
    try:
        frozen = create_trial(
            state=state,
            value=trial.score if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            params=dict(trial.params),
            distributions={name: space[name] for name in trial.params if name in space},
            user_attrs=_attributes(trial, scores),
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
    """Return a score; NaN where it is not known, as Optuna stores a reported NaN."""
    score = trial.score_at(unit)
    return score if math.isfinite(score) else math.nan


def _attributes(trial: TrialRecord, scores: tuple[str, ...]) -> dict[str, Any]:
    """Return the user attributes of a trial; unknown values are left out."""
    found = {
        "status": trial.status,
        "origin": trial.origin,
        "bracket": trial.bracket,
        "units": trial.units,
        "place_seconds": round(trial.slot_seconds, 3),
        "error": trial.error,
        **{key: trial.last.get(key) for key in scores},
    }
    return {key: value for key, value in found.items() if value is not None}
