"""Trials as runs of Weights & Biases, through Ray's WandbLoggerCallback.

Project, entity, server and mode come from W&B's own variables: WANDB_PROJECT, WANDB_ENTITY,
WANDB_BASE_URL and WANDB_MODE; the group is the search. Ray's callback runs two processes for each
open run, so a run is open only while its trial holds a slot, and W&B goes on with it by its id.
Offline it cannot do so: each time it writes another folder of that id, which therefore holds the
whole trial, from its first unit on, and replaces the one before. Only `--log wandb` imports this
file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import wandb
from ray.air.integrations.wandb import WandbLoggerCallback

from search.cluster.ray_internals import wandb_future
from search.cluster.trackers import ShownTrial, shown_config, shown_metrics
from search.log.trial import TrialRecord
from trainable.errors import InputError

KEY = "WANDB_API_KEY"
_PROJECT = "multitask-bert-search"  # unless WANDB_PROJECT says another
_END_SECONDS = 40.0  # for a run to be sent; less than tracker_feed's CLOSE_SECONDS


@dataclass
class _WandbRun:
    """A run that processes of Ray write.

    Attributes:
        callback: Ray's, with this run only, so that its end can be awaited.
        shown: The trial as the callback knows it.
        future: Ends when the process has ended; raises what went wrong there.
        trial: The record that it was brought up to date with.
        units: What the process was given.
    """

    callback: Any  # ShownTrial stands in for Tune's Trial
    shown: ShownTrial
    future: Any
    trial: TrialRecord
    units: set[int] = field(default_factory=set)


class WandbRuns:
    """Keeps one run for each trial.

    Args:
        search: Name of the search.
        began: When it began, which tells it from an earlier one of that name.
        folder: Local folder of the search, below which W&B writes unless WANDB_DIR is set.
    """

    def __init__(self, search: str, began: str, folder: Path) -> None:
        # Ray would hand the key to its processes in a way that it logs. Those of a local Ray have
        # the environment that it was started with.
        os.environ.pop(KEY, None)
        self._search, self._began, self._folder = search, began, str(folder)
        self._is_offline = os.environ.get("WANDB_MODE") == "offline"
        settings: dict[str, Any] = {"console": "off", "disable_git": True, "save_code": False}
        settings["x_disable_stats"] = True  # those of the driver's machine say nothing of a trial
        if url := os.environ.get("WANDB_BASE_URL"):
            settings["base_url"] = url
        self._options: dict[str, Any] = {
            "project": os.environ.get("WANDB_PROJECT") or _PROJECT,
            "entity": os.environ.get("WANDB_ENTITY"),
            "mode": os.environ.get("WANDB_MODE"),
            "resume": None if self._is_offline else "allow",
            "dir": os.path.abspath(os.environ.get("WANDB_DIR") or folder),
            "settings": settings,
        }
        self._open: dict[int, _WandbRun] = {}
        self._ending: dict[int, _WandbRun] = {}
        self._sent: dict[int, int] = {}  # units of runs that have ended
        self._failed: dict[int, TrialRecord] = {}  # what `close` tries again

    @property
    def where(self) -> str:
        """Where people find the runs."""
        project = f"group {self._search} of project {self._options['project']}"
        if self._is_offline:
            return f"{project}, offline: wandb sync {self._options['dir']}/wandb/offline-run-*"
        return project

    def write(self, trial: TrialRecord) -> None:
        """Bring the run of a trial up to date; raises what went wrong in any process."""
        for number in (n for n, run in {**self._ending, **self._open}.items() if _is_over(run)):
            self._settle(number)
        self._write(trial)

    def close(self) -> None:
        """Write what has failed again, end all runs, and wait until they are sent."""
        for trial in list(self._failed.values()):
            self._write(trial)
        for number in list(self._open):
            self._end(number)
        if futures := [run.future for run in self._ending.values()]:
            ray.wait(futures, num_returns=len(futures), timeout=_END_SECONDS)
        for number in list(self._ending):
            self._settle(number, 0.0)

    def _write(self, trial: TrialRecord) -> None:
        number, holds_slot = trial.number, trial.slot_since is not None
        self._failed.pop(number, None)
        if not holds_slot and self._sent.get(number) == len(trial.reports):
            return
        run = self._open.get(number)
        if run is None:
            if number in self._ending:  # two processes must not write the same run
                self._settle(number)
            run = self._open[number] = self._begin(trial)
        run.trial = trial
        for unit in sorted(set(trial.reports) - run.units):
            run.callback.log_trial_result(unit, run.shown, shown_metrics(trial, unit))
            run.units.add(unit)
        if not holds_slot:
            self._end(number)

    def _begin(self, trial: TrialRecord) -> _WandbRun:
        """Start the processes of a run; they show the whole trial, from its first unit on."""
        key = f"{self._search} {self._began} {trial.number}"
        id = hashlib.sha256(key.encode()).hexdigest()[:16]
        name = f"trial_{trial.number:04d}"
        shown = ShownTrial(id, shown_config(trial), self._folder, name)
        # Its `setup` is left out: it asks for the key here, where only the processes need one.
        callback: Any = WandbLoggerCallback(group=self._search, upload_timeout=1, **self._options)
        callback.log_trial_start(shown)
        return _WandbRun(callback, shown, wandb_future(callback, shown), trial)

    def _end(self, number: int) -> None:
        """Let the processes of a run send what they have, and end."""
        run = self._ending[number] = self._open.pop(number)
        self._sent[number] = len(run.trial.reports)
        run.callback.log_trial_end(run.shown)

    def _settle(self, number: int, seconds: float = _END_SECONDS) -> None:
        """Wait for the end of a run; raises what went wrong there, and lets `close` try again."""
        run = self._ending.pop(number, None) or self._open.pop(number)
        try:
            ray.get(run.future, timeout=seconds)
        except Exception:
            self._sent.pop(number, None)
            self._failed[number] = run.trial
            raise
        else:
            for old in self._folders(run.shown.trial_id)[:-1]:
                shutil.rmtree(old)
        finally:
            run.callback.on_experiment_end([])  # ends the processes, whatever has become of them

    def _folders(self, id: str) -> list[Path]:
        """Return the folders that a run has been written to offline, the newest last."""
        return sorted(Path(self._options["dir"], "wandb").glob(f"offline-run-*-{id}"))


def check_wandb() -> None:
    """Refuse a server that does not answer or does not know us; offline there is none.

    Raises:
        InputError: There is no key.
    """
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return
    is_in = wandb.login(prompt=False, verify=True)
    wandb.teardown()
    if not is_in:
        raise InputError(
            "--log wandb: there is no key of W&B here; call `wandb login`, or export "
            "WANDB_MODE=offline"
        )


def _is_over(run: _WandbRun) -> bool:
    """Return whether the process of a run has ended, or failed."""
    return bool(ray.wait([run.future], timeout=0)[0])
