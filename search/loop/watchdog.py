"""Warns when a search does not get on, with what to do, and ends it if it never will."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from typing import Any

from search.log.history import History
from search.log.mirror import Mirror
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.job import Job
from search.loop.limits import Limits
from search.planning.amounts import size
from search.planning.options import SearchOptions

_LOOK_SECONDS = 5.0
_SLOT_SECONDS = 120.0  # a node that must be launched first takes minutes
_SILENT_SECONDS = 600.0
_SILENT_UNITS = 10.0
_STORAGE_SECONDS = 60.0
_PATIENCE = 5  # the search ends after so many times the seconds after which it warns


class Watchdog:
    """Looks for slots that do not come, jobs that are silent, and storage that fails or is full.

    Args:
        dispatcher: The search.
        options: CPUs and GPUs of a trial.
        checkpoint_bytes: Usual size of a checkpoint.
        limits: Ends the search.
        mirror: Copies the log from the folder of the search to its storage.
        any_node_fits: Returns whether a node that is alive, or can be launched, can run a trial.
        say: Prints a line.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        options: SearchOptions,
        checkpoint_bytes: int,
        limits: Limits,
        mirror: Mirror,
        any_node_fits: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._dispatcher, self._options, self._limits = dispatcher, options, limits
        self._checkpoint_bytes, self._mirror = checkpoint_bytes, mirror
        self._any_node_fits, self._say = any_node_fits, say
        self._looked = time.monotonic()
        self._said: set[str] = set()

    def look(self) -> None:
        """Warn of what is stuck; called often."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS or self._limits.reached is not None:
            return
        self._looked = now
        self._look_at_slots(now)
        self._look_at_silence(now)
        self._look_at_storage(now)
        self._look_at_disk()

    def _look_at_slots(self, now: float) -> None:
        jobs = list(self._dispatcher.jobs.values())
        waiting = [job for job in jobs if job.started is None]
        if not waiting or any(job.started is not None for job in jobs):
            self._said.discard("slot")
            return
        waited = now - max(self._dispatcher.costs.freed, min(job.asked for job in waiting))
        if waited > _SLOT_SECONDS:
            cpus, gpus = self._options.cpus_per_trial, self._options.gpus_per_trial
            wanted = "its share of the CPUs" if cpus is None else f"{cpus:g} CPUs"
            if gpus:
                wanted += f" and {gpus:g} GPUs"
            self._once(
                "slot",
                f"no trial has had a slot for {waited:.0f} s: each needs {wanted}; `ray status` "
                f"says what the nodes have and what else runs on them; if it is there, the process "
                f"of a trial takes long to start, on a busy node or from a slow file system",
            )
            if not self._any_node_fits():
                self._limits.fail(f"no node is left that could serve a trial ({wanted})")

    def _look_at_silence(self, now: float) -> None:
        running = [job for job in self._dispatcher.jobs.values() if job.started is not None]
        late = [job for job in running if now - job.heard > _SILENT_SECONDS]
        if not late:
            return
        allowed = [_allowed_seconds(job, self._dispatcher.history) for job in late]
        for job, seconds in zip(late, allowed, strict=True):
            if math.isinf(seconds):
                self._once("first unit", self._long_start(job, now))
            elif now - job.heard > seconds:
                own = f"silent {job.trial.number} {job.unit} {job.asked}"
                self._once(own, self._silence(job, now))
        silence = [now - job.heard for job in late]
        if len(late) == len(running) and all(
            own > _PATIENCE * seconds for own, seconds in zip(silence, allowed, strict=True)
        ):
            self._limits.fail(
                f"no trial has reported anything for {min(silence) / 60:.0f} minutes, and a unit "
                f"takes {self._dispatcher.history.unit_seconds() / 60:.1f}"
            )

    def _long_start(self, job: Job, now: float) -> str:
        """Return what to say of a first unit: nobody knows yet how long it takes."""
        return (
            f"trial {job.trial.number} has had its slot for {(now - job.heard) / 60:.0f} minutes "
            f"without a report, and how long its first unit takes is not known yet; further "
            f"pretraining, or a large encoder on CPU cores, may take hours; see whether its "
            f"process computes (`top`, `nvidia-smi`); a smaller --budget or more --units of a new "
            f"search report earlier"
        )

    def _silence(self, job: Job, now: float) -> str:
        where = f" on node {job.node}" if job.node else ""
        return (
            f"trial {job.trial.number}{where} has reported nothing for "
            f"{(now - job.heard) / 60:.0f} minutes, after unit {job.trial.units}; see what its "
            f"process does there; if you kill it, the trial goes on from its last checkpoint"
        )

    def _look_at_storage(self, now: float) -> None:
        if self._mirror.is_overtaken:
            self._limits.fail(
                f"another driver goes on with this search in {self._mirror.folder.uri}"
            )
        since, why = self._mirror.failing_since, self._mirror.error
        if since is None:
            since, why = self._mirror.busy_since, "what it was asked then has not come to an end"
        if since is None:
            self._said.discard("storage")
            return
        seconds = now - since
        uri = self._mirror.folder.uri
        if seconds > _STORAGE_SECONDS:
            self._once(
                "storage",
                f"{uri} has not taken the event log for {seconds:.0f} s ({why}); "
                f"the log is in {self._mirror.folder.local}",
            )
        if seconds > _PATIENCE * _STORAGE_SECONDS:
            self._limits.fail(f"{uri} does not answer: {why}")

    def _look_at_disk(self) -> None:
        folder, one = self._mirror.folder, self._checkpoint_bytes
        if folder.is_copied:  # checkpoints are not written to the disk of this machine
            return
        free = shutil.disk_usage(folder.local).free
        needed = one * max(1, len(self._dispatcher.jobs))
        if free < needed:
            self._limits.fail(
                f"{folder.local} has {size(free)} left, the next checkpoints "
                f"need {size(needed)}; make room, then go on with --resume"
            )
        elif free < 5 * needed:
            self._once(
                "disk",
                f"{folder.local} has {size(free)} left, a checkpoint takes "
                f"{size(one)}; --checkpoint weights takes less",
            )

    def _once(self, topic: str, message: str) -> None:
        if topic not in self._said:
            self._said.add(topic)
            self._say(f"warning: {message}")


def _allowed_seconds(job: Job, history: History) -> float:
    """Return how many seconds a job may be silent; infinity while no unit's time is known."""
    usual = history.unit_seconds()
    stages = _stages_before(job.trial)
    if stages and job.unit == 0 and job.reported == 0:
        # Trials with the same stages wait for the first of them, whose time says how long.
        same = (t for t in history.trials.values() if _stages_before(t) == stages)
        alike = (trial.reports.get(1, {}).get("prefix_seconds") for trial in same)
        usual += max((seconds for seconds in alike if seconds is not None), default=math.nan)
    return math.inf if math.isnan(usual) else max(_SILENT_SECONDS, _SILENT_UNITS * usual)


def _stages_before(trial: TrialRecord) -> list[dict[str, Any]]:
    """Return the stages before the tasks, as the dictionaries of the log."""
    stages = (trial.run_config[name] for name in ("further_pretraining", "nli"))
    return [stage for stage in stages if stage["kind"] != "none"]
