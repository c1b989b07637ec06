"""`--log`: shows trials in MLflow or W&B while the search runs, and never holds the search up.

The trials that Ray's own logger callbacks see here are ours and not Tune's, which are jobs: one
that is paused and promoted is one run in the tracker, also across `--resume`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.options import SearchOptions
from trainable.errors import InputError

RETRY_SECONDS = 30.0  # after a failure
CLOSE_SECONDS = 60.0  # without progress, when the search is over
_LONGEST = 200  # characters of an error
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


class Tracker(Protocol):
    """Keeps the runs of one tracker up to date; all calls come from one thread."""

    def write(self, trial: TrialRecord) -> None:
        """Bring the run of a trial up to date with its record."""

    def close(self) -> None:
        """End what is still open."""


class Feed:
    """A thread that writes to a tracker the newest record of each trial.

    What fails is said once, and tried again. No error of a tracker reaches the search.

    Args:
        name: Of the tracker.
        tracker: Is written to.
        say: Prints a line.
    """

    def __init__(self, name: str, tracker: Tracker, say: Callable[[str], None]) -> None:
        self._name, self._tracker, self._say = name, tracker, say
        self._waiting: dict[int, TrialRecord] = {}
        self._missed: set[int] = set()
        self._changed = threading.Condition()
        self._is_closing = self._is_closed = self._has_failed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, trial: TrialRecord) -> None:
        """Let the thread write a trial as it is now."""
        with self._changed:
            self._waiting[trial.number] = replace(trial, reports=dict(trial.reports))
            self._changed.notify()

    def close(self) -> None:
        """Wait for what is still to be written, while there is progress."""
        if self._is_closing:
            return
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        left = -1
        while self._thread.is_alive() and left != (left := len(self._waiting)):
            self._thread.join(CLOSE_SECONDS)
        missed = sorted(self._missed | set(self._waiting))
        if missed or not self._is_closed:
            of = "trial" if len(missed) == 1 else "trials"
            which = f"{of} {', '.join(map(str, missed))}" if missed else "the last trials"
            self._say(f"warning: --log {self._name}: {which} may be incomplete there")

    def _run(self) -> None:
        while (trial := self._next()) is not None:
            done = self._try(lambda trial=trial: self._tracker.write(trial))  # type: ignore[misc]
            with self._changed:
                if done and self._waiting[trial.number] is trial:
                    del self._waiting[trial.number]
                elif not done:  # another trial comes first next time
                    again = self._waiting.pop(trial.number)
                    if self._is_closing:
                        self._missed.add(trial.number)
                    else:
                        self._waiting[trial.number] = again
                        self._changed.wait_for(lambda: self._is_closing, RETRY_SECONDS)
        self._is_closed = self._try(self._tracker.close)

    def _next(self) -> TrialRecord | None:
        """Return what has waited longest; None when the search is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return next(iter(self._waiting.values()), None)

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:  # of any library: the search does not depend on a tracker
            if not self._has_failed:
                self._has_failed = True
                self._say(f"warning: --log {self._name}: {one_line(error)}; the search goes on")
            return False
        return True


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


def one_line(text: object) -> str:
    """Return the first line of a text, without the password of a URL."""
    first = next(iter(str(text).strip().splitlines()), "") or type(text).__name__
    shown = re.sub(r"(://)[^/@\s]*@", r"\1", first)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
