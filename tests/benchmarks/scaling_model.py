"""Simulate how many workers one driver can serve, from the measured costs of a job.

The driver is one server with a queue that handles one event after another. A job of `units` units
has 2 * units + 1 events: a report and a checkpoint for each unit, and the end of the job together
with the suggestion and the start of the next one. All events cost the same.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Costs of one job.

    Attributes:
        driver: Seconds in which the driver can do nothing else.
        latency: Seconds in which neither the driver works nor the worker trains: messages, waits
            of Tune, the checkpoint.
        units: Units of a job.
    """

    driver: float
    latency: float
    units: int

    @property
    def n_events(self) -> int:
        """Events that the driver handles for a job."""
        return 2 * self.units + 1


@dataclass(frozen=True)
class Simulated:
    """Result of a simulated search.

    Attributes:
        seconds: From the start of the first units to the end of the last job.
        driver_share: Share of this time in which the driver was busy, in [0, 1].
    """

    seconds: float
    driver_share: float


def simulate(costs: Costs, workers: int, unit_seconds: float, jobs: int) -> Simulated:
    """Simulate jobs on workers that all start their first unit at the same time.

    Args:
        costs: Costs of a job.
        workers: Jobs at a time.
        unit_seconds: Training time of a unit.
        jobs: Number of jobs, at least `workers`.
    """
    service, lag = costs.driver / costs.n_events, costs.latency / costs.n_events
    last = costs.n_events - 1
    # Time at which a worker needs the driver, the worker, and the event's number in its job.
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
    """Return how many workers keep a part always busy that needs these seconds for each job."""
    return (costs.units * unit_seconds + costs.latency + costs.driver) / seconds_per_job
