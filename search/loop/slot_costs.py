"""How long jobs held their slots, and what that costs in device-seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from search.log.history import Journal
from search.loop.job import Job


class SlotCosts:
    """Writes down what each slot cost when a job gives it up.

    Attributes:
        freed: When a job gave up its slot last, in seconds of the clock; minus infinity before.

    Args:
        journal: History and log.
        jobs: The jobs that are under way, by Ray's id.
        clock: Returns seconds.
    """

    def __init__(
        self, journal: Journal, jobs: Mapping[str, Job], clock: Callable[[], float]
    ) -> None:
        self._journal, self._jobs, self._clock = journal, jobs, clock
        self.freed = -math.inf

    def charge(self, job: Job, cpus: float, gpus: float) -> None:
        """Write down how long a job held a slot with so many CPUs and GPUs, if it had one."""
        if job.started is None:
            return
        self.freed = self._clock()
        self._journal.write(
            "cost",
            trial=job.trial.number,
            seconds=self.freed - job.started,
            cpus=cpus,
            gpus=gpus,
            node=job.node,
        )

    def device_seconds(self, devices: float) -> float:
        """Return the seconds times devices that all slots were held for, over all drivers.

        Args:
            devices: Of a slot of the present jobs: its GPUs, or its CPU cores if it has no GPU.
        """
        now = self._clock()
        running = sum(now - job.started for job in self._jobs.values() if job.started is not None)
        past = sum(trial.device_seconds for trial in self._journal.history.runs)
        return running * devices + past
