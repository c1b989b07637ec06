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


def play(
    dispatcher: Dispatcher, report_of: ReportOf, n_slots: int, draw: random.Random
) -> Iterator[None]:
    """Run the jobs of a dispatcher until nothing is left to do; yields after every unit.

    A slot trains a unit in a random time of about 1, so that slots do not stay in step.

    Args:
        dispatcher: Of a search that has just begun.
        report_of: What trials report.
        n_slots: Trials at a time.
        draw: How long each unit takes.
    """
    training: list[tuple[float, str, int]] = []  # time when a unit ends, job, unit
    ids, now = map("job {}".format, count()), 0.0

    def train(id: str, unit: int) -> None:
        heapq.heappush(training, (now + draw.uniform(0.95, 1.05), id, unit))

    while True:
        while len(training) < n_slots:
            id = next(ids)
            job = dispatcher.next_job(id)
            if job is not None:
                dispatcher.started(id)
                train(id, job.unit + 1)
            elif training or dispatcher.is_finished:
                break
        if not training:
            return
        now, id, unit = heapq.heappop(training)
        trial = dispatcher.jobs[id].trial
        metrics, failure = report_of(trial, unit)
        goes_on = dispatcher.reported(id, unit, metrics, failure)  # type: ignore[arg-type]
        dispatcher.saved(id, f"{trial.number}/{unit}")
        if goes_on:
            train(id, unit + 1)
        else:
            dispatcher.left(id, 1.0, 0.0)
        yield
