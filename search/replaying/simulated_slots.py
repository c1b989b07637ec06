"""Slots without Ray: they play the jobs of a dispatcher on curves that are known."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import count

from search.log.trial import Metrics, TrialRecord
from search.loop.dispatcher import Dispatcher

# Returns the metrics that a trial reports after a unit, and what the run fails with, or nothing.
ReportOf = Callable[[TrialRecord, int], tuple[Metrics, str]]
# (trial, unit, whether its job begins with it) -> seconds.
SecondsOf = Callable[[TrialRecord, int, bool], float]


class SimulatedSlots:
    """A number of slots, and their clock.

    Attributes:
        now: Seconds since they began.
        n_units: Units that they have trained.
        training: (time when the unit ends, number of the trial, job, unit) of what is under way, as
            a heap.

    Args:
        n: Trials at a time.
        seconds_of: What units take.
    """

    def __init__(self, n: int, seconds_of: SecondsOf) -> None:
        self._n, self._seconds_of = n, seconds_of
        self._ids = map("job {}".format, count())
        self.now, self.n_units = 0.0, 0
        self.training: list[tuple[float, int, str, int]] = []

    def play(self, dispatcher: Dispatcher, report_of: ReportOf) -> Iterator[None]:
        """Run jobs until nothing is left to do; yields after every unit.

        Args:
            dispatcher: Of a search that has just begun.
            report_of: What trials report.
        """
        while True:
            self.fill(dispatcher)
            if not self.training:
                return
            self.now, _, id, unit = heapq.heappop(self.training)
            self.n_units += 1
            trial = dispatcher.jobs[id].trial
            metrics, failure = report_of(trial, unit)
            goes_on = dispatcher.reported(id, unit, metrics, failure)  # type: ignore[arg-type]
            dispatcher.saved(id, f"{trial.number}/{unit}")
            if goes_on:
                self._train(id, trial, unit + 1, begins=False)
            else:
                dispatcher.left(id, 1.0, 0.0)
            yield

    def fill(self, dispatcher: Dispatcher) -> None:
        """Begin jobs in free slots, as far as there are any."""
        while len(self.training) < self._n:
            id = next(self._ids)
            job = dispatcher.next_job(id)
            if job is not None:
                dispatcher.started(id)
                self._train(id, job.trial, job.unit + 1, begins=True)
            elif self.training or dispatcher.is_finished:
                return

    def _train(self, id: str, trial: TrialRecord, unit: int, begins: bool) -> None:
        ends = self.now + self._seconds_of(trial, unit, begins)
        heapq.heappush(self.training, (ends, trial.number, id, unit))


def about_one_second(draw: random.Random) -> SecondsOf:
    """Return seconds near 1 for every unit, so that slots do not stay in step."""
    return lambda trial, unit, begins: draw.uniform(0.95, 1.05)
