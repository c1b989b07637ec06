"""An Optuna study, written into the tables of its database in one transaction.

`Study.add_trials` asks the database again for each value of each trial: a trial takes a tenth of a
second, ten thousand of them twenty minutes, and a study half written is left where it is killed.
The tables are those that Optuna makes and reads by itself; their layout has been the same since its
version 3, and Optuna refuses a database of another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from trainable.errors import InputError

_BEGUN = "begun"
_OF_A_TRIAL = (
    models.TrialParamModel,
    models.TrialValueModel,
    models.TrialIntermediateValueModel,
    models.TrialUserAttributeModel,
    models.TrialSystemAttributeModel,
    models.TrialHeartbeatModel,
)


def write_tables(
    url: str,
    name: str,
    begun: float,
    attributes: Mapping[str, Any],
    trials: Sequence[FrozenTrial],
) -> None:
    """Write a study that is to be maximized, or replace the trials of the one written before.

    Args:
        url: Of the database.
        name: Of the study.
        begun: When the search began, in seconds since 1970: a study with another is another's.
        attributes: Of a new study, JSON.
        trials: In the order of their numbers.

    Raises:
        InputError: The database cannot be written, or the study of this name is another's.
    """
    with _session(url) as session:
        study_id = session.scalar(
            select(models.StudyModel.study_id).where(models.StudyModel.study_name == name)
        )
        if study_id is None:
            study_id = _add_study(session, name, {_BEGUN: begun, **attributes})
        elif begun != _begun(session, study_id):
            raise InputError(
                f"--optuna {shown(url)}: there is a study {name!r} that is not of this search; "
                f"give another database, such as sqlite:///{name}.db"
            )
        else:
            _delete_trials(session, study_id)
        _add_trials(session, study_id, trials)


def shown(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(?<=:)[^/:].*(?=@)", "***", url)


@contextmanager
def _session(url: str) -> Iterator[Session]:
    """One transaction."""
    try:
        storage = RDBStorage(url)
        try:
            with Session(storage.engine) as session, session.begin():
                yield session
        finally:
            storage.engine.dispose()
    # ImportError: of the database's module; RuntimeError: tables of another version of Optuna.
    except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        raise InputError(
            f"--optuna {shown(url)}: {str(cause).splitlines()[0]}; give the URL of a database that "
            f"this user may write to, such as sqlite:///study.db"
        ) from error


def _begun(session: Session, study_id: int) -> float | None:
    attribute = models.StudyUserAttributeModel
    text = session.scalar(
        select(attribute.value_json).where(attribute.study_id == study_id, attribute.key == _BEGUN)
    )
    return None if text is None else json.loads(text)


def _add_study(session: Session, name: str, attributes: Mapping[str, Any]) -> int:
    study = models.StudyModel(study_name=name)
    session.add(study)
    session.flush()  # gives it its id
    own = {"study_id": study.study_id}
    direction = StudyDirection.MAXIMIZE
    session.add(models.StudyDirectionModel(**own, direction=direction, objective=0))
    # As Study.set_metric_names does, so that plots have a title.
    names = json.dumps(["score"])
    session.add(models.StudySystemAttributeModel(**own, key="study:metric_names", value_json=names))
    for key, value in attributes.items():
        text = json.dumps(value)
        session.add(models.StudyUserAttributeModel(**own, key=key, value_json=text))
    return int(study.study_id)


def _delete_trials(session: Session, study_id: int) -> None:
    trials = models.TrialModel.__table__
    own = select(trials.c.trial_id).where(trials.c.study_id == study_id)
    for model in _OF_A_TRIAL:
        session.execute(delete(model.__table__).where(model.__table__.c.trial_id.in_(own)))
    session.execute(delete(trials).where(trials.c.study_id == study_id))


def _add_trials(session: Session, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    added = [
        models.TrialModel(
            number=trial.number,
            study_id=study_id,
            state=trial.state,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
        )
        for trial in trials
    ]
    session.add_all(added)
    session.flush()  # gives them their ids
    pairs = [(int(row.trial_id), trial) for row, trial in zip(added, trials, strict=True)]
    for model, rows in (
        (models.TrialParamModel, _params(pairs)),
        (models.TrialValueModel, _values(pairs)),
        (models.TrialIntermediateValueModel, _intermediate_values(pairs)),
        (models.TrialUserAttributeModel, _user_attributes(pairs)),
    ):
        if rows:  # no rows would be one of defaults
            session.execute(insert(model.__table__), rows)


def _params(trials: list[tuple[int, FrozenTrial]]) -> list[dict[str, Any]]:
    texts: dict[str, str] = {}  # the same for all trials, and slow to make
    rows = []
    for key, trial in trials:
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            if name not in texts:
                texts[name] = distribution_to_json(distribution)
            number = distribution.to_internal_repr(value)
            own = {"param_name": name, "param_value": number, "distribution_json": texts[name]}
            rows.append({"trial_id": key, **own})
    return rows


def _values(trials: list[tuple[int, FrozenTrial]]) -> list[dict[str, Any]]:
    rows = []
    for key, trial in trials:
        if trial.value is not None:
            value, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
            rows.append({"trial_id": key, "objective": 0, "value": value, "value_type": kind})
    return rows


def _intermediate_values(trials: list[tuple[int, FrozenTrial]]) -> list[dict[str, Any]]:
    stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    rows = []
    for key, trial in trials:
        for step, score in trial.intermediate_values.items():
            value, kind = stored(score)
            own = {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
            rows.append({"trial_id": key, **own})
    return rows


def _user_attributes(trials: list[tuple[int, FrozenTrial]]) -> list[dict[str, Any]]:
    return [
        {"trial_id": key, "key": name, "value_json": json.dumps(value)}
        for key, trial in trials
        for name, value in trial.user_attrs.items()
    ]
