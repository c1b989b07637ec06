"""Trials as runs of MLflow, through Ray's MLflowLoggerCallback.

The server and the experiment come from MLflow's own variables: MLFLOW_TRACKING_URI, and
MLFLOW_EXPERIMENT_NAME, without which the experiment has the name of the search. Only `--log mlflow`
imports this file.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
from ray.air.integrations.mlflow import MLflowLoggerCallback

from search.cluster.ray_internals import mlflow_run_ids
from search.cluster.trackers import STEP, ShownTrial, shown_config, shown_metrics
from search.log.trial import TrialRecord

_ENDED = ("FINISHED", "FAILED")


@dataclass
class _MlflowRun:
    """What MLflow has of a trial.

    Attributes:
        id: MLflow's.
        shown: The trial as Ray's callback knows it.
        unit: The last unit that is there.
        status: RUNNING, FINISHED, FAILED, or KILLED: the search ended first.
    """

    id: str
    shown: ShownTrial
    unit: int
    status: str


class MlflowRuns:
    """Keeps one run for each trial.

    Args:
        search: Name of the search.
        began: When it began, which tells it from an earlier one of that name.
        folder: Local folder of the search.
    """

    def __init__(self, search: str, began: str, folder: Path) -> None:
        self._folder = str(folder)
        self._tags = {"search": search, "began": began}
        self._experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or search
        self._runs: dict[int, _MlflowRun] = {}

    @property
    def where(self) -> str:
        """Where people find the runs."""
        return f"experiment {self._experiment} of {mlflow.get_tracking_uri()}"

    @cached_property
    def _client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient()

    @cached_property
    def _callback(self) -> Any:  # ShownTrial stands in for Tune's Trial
        callback: Any = MLflowLoggerCallback(
            mlflow.get_tracking_uri(), experiment_name=self._experiment, tags=self._tags
        )
        callback.setup()  # makes the experiment where there is none
        return callback

    def write(self, trial: TrialRecord) -> None:
        """Bring the run of a trial up to date; makes it where there is none."""
        run = self._runs.get(trial.number) or self._open(trial)
        self._runs[trial.number] = run
        if trial.slot_since is not None and run.status != "RUNNING":
            self._client.update_run(run.id, status="RUNNING")
            run.status = "RUNNING"
        for unit in sorted(trial.reports):
            if unit > run.unit:
                self._callback.log_trial_result(unit, run.shown, shown_metrics(trial, unit))
                run.unit = unit
        if trial.is_over and run.status not in _ENDED:
            has_failed = trial.status == "failed"
            self._callback.log_trial_end(run.shown, failed=has_failed)
            run.status = "FAILED" if has_failed else "FINISHED"

    def close(self) -> None:
        """Mark what is paused or interrupted as killed; `--resume` goes on with it."""
        for run in self._runs.values():
            if run.status == "RUNNING":
                self._client.set_terminated(run.id, "KILLED")
                run.status = "KILLED"

    def _open(self, trial: TrialRecord) -> _MlflowRun:
        """Return the run of an earlier driver, or of an attempt that failed, or a new one."""
        name = f"trial_{trial.number:04d}"
        shown = ShownTrial(name, shown_config(trial), self._folder, name)
        wanted = {**self._tags, "trial_name": name}
        query = " and ".join(f"tags.{key} = '{value}'" for key, value in wanted.items())
        experiment = self._callback.mlflow_util.experiment_id
        found = self._client.search_runs([experiment], query, max_results=1)
        ids = mlflow_run_ids(self._callback)
        if found:
            ids[shown] = found[0].info.run_id
        self._callback.log_trial_start(shown)
        if not found:
            return _MlflowRun(ids[shown], shown, 0, "RUNNING")
        unit = int(found[0].data.metrics.get(STEP, 0))
        return _MlflowRun(ids[shown], shown, unit, found[0].info.status)


def check_mlflow() -> None:
    """Ask the server for anything; raises what MLflow raises where it does not answer."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it tells of the tables it makes
    mlflow.MlflowClient().search_experiments(max_results=1)
