"""`--log`: shows trials in MLflow or W&B while the search runs, and never holds the search up.

The trials that Ray's own logger callbacks see here are ours and not Tune's, which are jobs: one
that is paused and promoted is one run in the tracker, also across `--resume`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.cluster.tracker_feed import Feed, one_line
from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.options import SearchOptions
from trainable.errors import InputError

STEP = "training_iteration"  # what Ray's callbacks take for the x axis
# MLflow's own defaults wait for minutes, again and again; a person may set others.
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True, eq=False)
class ShownTrial:
    """A trial as Ray's callbacks see it: they read these attributes of Tune's, and its text.

    Attributes:
        trial_id: Unique among all searches.
        config: What is shown of its configuration.
        local_path: Where a process of the tracker runs.
        name: What people see.
    """

    trial_id: str
    config: dict[str, Any]
    local_path: str
    name: str

    def __str__(self) -> str:
        """Return its name."""
        return self.name


def shown_config(trial: TrialRecord) -> dict[str, Any]:
    """Return number, origin and params of a trial; the whole run_config would hide them."""
    return {"trial": trial.number, "origin": trial.origin, **trial.params}


def shown_metrics(trial: TrialRecord, unit: int) -> dict[str, Any]:
    """Return the numbers that a trial reported, but for *confirm*, which nobody should choose by.

    Args:
        trial: Its record.
        unit: Of which report.
    """
    known = {key: value for key, value in trial.reports[unit].items() if value is not None}
    hidden = {key for key in known if key.startswith("confirm_")} | {"unit"}
    return {STEP: unit, **{key: value for key, value in known.items() if key not in hidden}}


class Trackers:
    """All trackers of a search.

    Args:
        feeds: One for each.
    """

    def __init__(self, feeds: Sequence[Feed] = ()) -> None:
        self._feeds = feeds

    def write(self, trial: TrialRecord) -> None:
        """Show a trial as it is now."""
        for feed in self._feeds:
            feed.write(trial)

    def close(self) -> None:
        """End the runs; call it while Ray is still connected."""
        for feed in self._feeds:
            feed.close()


def check_trackers(options: SearchOptions) -> None:
    """Refuse a tracker that cannot be reached; call it before Ray starts.

    Raises:
        InputError: No server answers, or it does not let us in.
    """
    for name in options.trackers:
        if name == "mlflow":
            from search.cluster.mlflow_runs import check_mlflow

            for key, value in _MLFLOW_ENVIRONMENT.items():
                os.environ.setdefault(key, value)
            check = check_mlflow
        else:
            from search.cluster.wandb_runs import check_wandb

            check = check_wandb
        try:
            check()
        except InputError:
            raise
        except Exception as error:  # of any library that the tracker calls
            raise InputError(
                f"--log {name}: {one_line(error)}; start its server or correct the variables that "
                f"name it, or leave --log {name} out"
            ) from error


def open_trackers(
    options: SearchOptions, folder: Path, history: History, say: Callable[[str], None]
) -> Trackers:
    """Open the trackers of `--log`; call it after `check_trackers`, with Ray connected.

    Args:
        options: Of the search.
        folder: Local folder of the search.
        history: MLflow gets what it lacks of earlier drivers; of W&B that cannot be asked.
        say: Prints a line.
    """
    feeds = []
    for name in options.trackers:
        began = f"{history.header['time']:.3f}"
        if name == "mlflow":
            from search.cluster.mlflow_runs import MlflowRuns

            mlflow = MlflowRuns(folder.name, began, folder)
            say(f"mlflow: {one_line(mlflow.where)}")
            feed = Feed(name, mlflow, say)
            for trial in history.trials.values():
                if trial.id:  # it has been started
                    feed.write(trial)
        else:
            from search.cluster.wandb_runs import WandbRuns

            wandb = WandbRuns(folder.name, began, folder)
            say(f"wandb: {wandb.where}")
            feed = Feed(name, wandb, say)
        feeds.append(feed)
    return Trackers(feeds)
