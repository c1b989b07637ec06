"""How many workers one driver can serve: a discrete-event simulation from measured costs.

The driver is one server with a queue: it handles one event after another. A job of `units` units is
for it 2 * units + 1 events: each unit's report and checkpoint, and the end of the job together with
the suggestion and the start of the next one. Each takes the same share of the measured costs.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What one job costs, in seconds.

    Attributes:
        driver: In which the driver can do nothing else.
        latency: In which neither the driver works nor the worker trains: messages, Tune's waiting,
            the checkpoint.
        units: Units of a job.
    """

    driver: float
    latency: float
    units: int

    @property
    def n_events(self) -> int:
        """Events of the driver's loop."""
        return 2 * self.units + 1


@dataclass(frozen=True)
class Simulated:
    """What a simulated search took.

    Attributes:
        seconds: From the begin of the first units to the end of the last job.
        driver_share: Share of this time in which the driver was busy.
    """

    seconds: float
    driver_share: float


def simulate(costs: Costs, workers: int, unit_seconds: float, jobs: int) -> Simulated:
    """Run jobs on workers that all begin their first unit at once.

    Args:
        costs: Of a job.
        workers: Jobs at a time.
        unit_seconds: What a unit takes on a worker.
        jobs: At least as many as workers.
    """
    service, lag = costs.driver / costs.n_events, costs.latency / costs.n_events
    last = costs.n_events - 1
    # When a worker needs the driver, which worker, and for which of a job's events.
    queue = [(unit_seconds + lag, worker, 0) for worker in range(workers)]
    left, is_free, busy = jobs - workers, 0.0, 0.0
    while queue:
        asked, worker, step = heapq.heappop(queue)
        is_free = max(asked, is_free) + service
        busy += service
        if step == last:
            if not left:
                continue
            left -= 1
        following = 0 if step == last else step + 1
        trains = following % 2 == 0 and following != last
        heapq.heappush(
            queue, (is_free + lag + (unit_seconds if trains else 0.0), worker, following)
        )
    return Simulated(is_free, busy / is_free)


def most_workers(seconds_per_job: float, costs: Costs, unit_seconds: float) -> float:
    """Return how many workers keep a part busy all the time that takes so long for each job."""
    return (costs.units * unit_seconds + costs.latency + costs.driver) / seconds_per_job
