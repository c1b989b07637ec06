"""The figures of scale.py, taken inside the process of the driver."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.loop.make_dispatcher import make_dispatcher
from search.planning.plan import Plan

HEADINGS = "trials   wall,ms driver,ms  fsync,ms   user,ms memory,MB  kB/trial log kB/tr  resume,s"
_WINDOW = 100  # times are means over so many trials
_Times = tuple[float, float, float, float]  # wall, driver, fsync, user; seconds


@dataclass(frozen=True)
class Line:
    """The figures at one number of trials; see scale.py.

    Times are milliseconds for each trial, `resume` is in seconds, `memory` in MB,
    `memory_per_trial` and `log_per_trial` in bytes.
    """

    trials: int
    wall: float
    driver: float
    fsync: float
    user: float
    memory: float
    memory_per_trial: float
    log_per_trial: float
    resume: float


class Meter:
    """Measures the driver whenever one of the given numbers of trials has begun.

    It replaces `os.fsync` and `ray.wait` for good, so that their time can be told apart.

    Args:
        plan: Plan of the search.
        sizes: Numbers of trials at which to measure, rising.

    Attributes:
        lines: The figures so far.
    """

    def __init__(self, plan: Plan, sizes: tuple[int, ...]) -> None:
        self._plan = plan
        self._sizes = list(sizes)
        self._fsync, self._wait = Timed(os, "fsync"), Timed(ray, "wait")
        self._began: dict[int, _Times] = {}
        self._memory: dict[int, float] = {}
        self._overhead = (0.0, 0.0, 0.0, 0.0)  # of measuring itself
        self.lines: list[Line] = []

    def _now(self) -> _Times:
        now = time.perf_counter()
        return now, now - self._wait.seconds, self._fsync.seconds, _user_seconds()

    def look(self, n_trials: int) -> None:
        """Note that so many trials have begun, and measure at each of the sizes."""
        if n_trials in self._began:
            return
        now = self._now()
        self._began[n_trials] = _difference(now, self._overhead)
        self._memory[n_trials] = _memory()
        if self._sizes and n_trials >= self._sizes[0]:
            del self._sizes[0]
            self._measure(n_trials)
            self._overhead = _difference(self._now(), self._began[n_trials])

    def _measure(self, n_trials: int) -> None:
        # The first trial also waits for the start of Ray's actor, so it does not count.
        first = max(n for n in self._began if n <= max(1, n_trials - _WINDOW))
        spent = _difference(self._began[n_trials], self._began[first])
        wall, driver, fsync, user = (1000 * seconds / (n_trials - first) for seconds in spent)
        before = self.lines[-1].trials if self.lines else first
        log = self._plan.folder.local / EVENTS
        line = Line(
            trials=n_trials,
            wall=wall,
            driver=driver,
            fsync=fsync,
            user=user,
            memory=self._memory[n_trials] / 1e6,
            memory_per_trial=(self._memory[n_trials] - self._memory[before]) / (n_trials - before),
            log_per_trial=log.stat().st_size / n_trials,
            resume=seconds_to_resume(self._plan, log),
        )
        self.lines.append(line)
        print(_text(line), flush=True)


class Timed:
    """Replaces a function of a module, and adds up the time that its calls take.

    Attributes:
        seconds: Sum over all calls.

    Args:
        owner: Module of the function.
        name: Name of the function.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        self._function = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the function."""
        started = time.perf_counter()
        result = self._function(*given, **named)
        self.seconds += time.perf_counter() - started
        return result


def _difference(one: _Times, other: _Times) -> _Times:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3]


def seconds_to_resume(plan: Plan, log: Path) -> float:
    """Return the seconds that a resumed driver needs until its first job."""
    started = time.perf_counter()
    journal = Journal(History(read_events(log)))
    journal.write("resumed", slots=1, options={}, n_trials=plan.n_trials)
    dispatcher = make_dispatcher(plan, journal)
    dispatcher.settle()
    dispatcher.next_job("first")
    return time.perf_counter() - started


def _user_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _memory() -> float:
    """Return the resident memory of this process, in bytes."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _text(line: Line) -> str:
    """Return the figures below `HEADINGS`."""
    return (
        f"{line.trials:6} {line.wall:9.1f} {line.driver:9.1f} {line.fsync:9.1f} {line.user:9.1f} "
        f"{line.memory:9.0f} {line.memory_per_trial / 1000:9.1f} "
        f"{line.log_per_trial / 1000:9.1f} {line.resume:9.2f}"
    )
