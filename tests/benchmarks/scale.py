"""What a search of many trials costs its driver: time, memory, log, and the time to go on.

    python tests/benchmarks/scale.py [--trials 100 1000 10000] [--without-ray] [--tensorboard] \\
        [--searcher random]

Trials do no work. Searcher, scheduler, dispatcher, checkpoints and event log (with its fsync) are
those of a real search with the space `full`. By default they run under real Ray Tune, one trial at
a time: Tune gives up an actor that is about to start as soon as another is free, so that of trials
this short no second one ever runs, and workers are started in vain beside the first. With
--without-ray trials are driven directly, which is the search's own share. At each number of trials,
while the search runs:

    wall           milliseconds from one of the last trials to the next
    driver         those of them in which its main thread did something, and did not wait in
                   `ray.wait` for the trial: for what the worker does, and for messages
    fsync          those in which it waited for the disk; they are among the driver's
    user           CPU time of the driver with all of its threads, Ray's among them
    memory         resident memory of the driver, and what each trial since the last line added
    log            bytes of the event log for each trial
    resume         seconds from the log to the first job of a driver that goes on: log and history
                   read, searcher and scheduler made, the first job handed out
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import optuna
import ray
import tyro
from rich.console import Console

import search.commands.run
from search.log.events import EventLog, read_events
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.tensorboard import TensorBoard
from tests.chaos import stub
from tests.chaos.simulation import make_dispatcher, run

_WINDOW = 100  # trials that the marginal cost is taken over
_Times = tuple[float, float, float, float]  # wall, driver, fsync, user; seconds


@dataclass(frozen=True)
class Options:
    """Measure what trials cost the driver."""

    trials: tuple[int, ...] = (100, 1000, 10_000)
    """Where to measure; the last one is the size of the search."""

    without_ray: bool = False
    """Drive the dispatcher directly."""

    tensorboard: bool = False
    """Write TensorBoard files too, where Ray is left out; under Ray they always are written."""

    places: int = 8
    """Trials at a time, where Ray is left out."""

    space: str = "full"
    """What varies."""

    searcher: str = "rung-gp"
    """Who suggests."""

    out: Path | None = None
    """Also write the figures as JSON."""


@dataclass(frozen=True)
class Line:
    """Figures at one number of trials; units as in the text above."""

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
    """Notes figures when so many trials have begun.

    Args:
        plan: The search.
        sizes: Where to measure.
    """

    def __init__(self, plan: Plan, sizes: tuple[int, ...]) -> None:
        self._plan = plan
        self._sizes = list(sizes)
        self._fsync, self._wait = Timed(os, "fsync"), Timed(ray, "wait")
        self._began: dict[int, _Times] = {}  # the first trial's start is none of its cost
        self._memory: dict[int, float] = {}
        self._stolen = (0.0, 0.0, 0.0, 0.0)  # by measuring
        self.lines: list[Line] = []

    def _now(self) -> _Times:
        now = time.perf_counter()
        return now, now - self._wait.seconds, self._fsync.seconds, _user_seconds()

    def look(self, n_trials: int) -> None:
        """Measure if it is time; called often."""
        if n_trials in self._began:
            return
        now = self._now()
        self._began[n_trials] = _minus(now, self._stolen)
        self._memory[n_trials] = _memory()
        if self._sizes and n_trials >= self._sizes[0]:
            del self._sizes[0]
            self._measure(n_trials)
            self._stolen = _minus(self._now(), self._began[n_trials])

    def _measure(self, n_trials: int) -> None:
        first = max(n for n in self._began if n <= max(1, n_trials - _WINDOW))
        spent = _minus(self._began[n_trials], self._began[first])
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
    """Replaces a function by one that says how long it took.

    Attributes:
        seconds: All calls together.

    Args:
        owner: Module of the function.
        name: Of the function.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        self._function = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Do what the function does."""
        started = time.perf_counter()
        result = self._function(*given, **named)
        self.seconds += time.perf_counter() - started
        return result


def _minus(one: _Times, other: _Times) -> _Times:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3]


def seconds_to_resume(plan: Plan, log: Path) -> float:
    """Return the seconds from a log to the first job of a driver that goes on."""
    started = time.perf_counter()
    journal = Journal(History(read_events(log)))
    journal.write("resumed", slots=1, options={}, n_trials=plan.n_trials)
    dispatcher = make_dispatcher(plan, journal)
    dispatcher.settle()
    dispatcher.next_job("first")
    return time.perf_counter() - started


def without_ray(plan: Plan, options: Options, meter: Meter, faults: stub.Faults) -> None:
    """Run the search with places that answer at once."""
    log = EventLog(plan.folder.local / EVENTS)
    journal = Journal(History(), log)
    journal.write("search", slots=options.places, **header(plan))
    tensorboard = (
        TensorBoard(plan.folder.local, plan.space.params()) if options.tensorboard else None
    )
    trials, draw = journal.history.trials, random.Random(0)
    run(plan, journal, faults, options.places, draw, tensorboard, lambda: meter.look(len(trials)))
    log.close()


def with_ray(plan: Plan, meter: Meter, faults: stub.Faults) -> None:
    """Run the search as `search/run.py` does, up to its results."""
    search.commands.run.MultitaskTrainable = type(  # type: ignore[attr-defined, assignment]
        "StubTrainable", (stub.StubTrainable,), {"faults": faults}
    )

    class MeteredDispatcher(Dispatcher):
        def started(self, id: str) -> None:
            super().started(id)
            meter.look(len(self.history.trials))

    search.commands.run.Dispatcher = MeteredDispatcher  # type: ignore[attr-defined]
    search.commands.run.write_results = _no_results  # type: ignore[attr-defined, assignment]
    started = time.perf_counter()
    search.commands.run.run_search(plan, Console(quiet=True))
    print(f"whole search: {time.perf_counter() - started:.0f} s")


def _no_results(*_: Any) -> None:
    """Reports and pictures come once, after the search, and are not measured here."""


def _user_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _memory() -> float:
    """Return the resident memory of this process, in bytes."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _text(line: Line) -> str:
    return (
        f"{line.trials:6} {line.wall:9.1f} {line.driver:9.1f} {line.fsync:9.1f} {line.user:9.1f} "
        f"{line.memory:9.0f} {line.memory_per_trial / 1000:9.1f} "
        f"{line.log_per_trial / 1000:9.1f} {line.resume:9.2f}"
    )


def main(options: Options) -> None:
    """Measure, and print a line at each number of trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        asked = SearchOptions(
            space=options.space,  # type: ignore[arg-type]
            trials=options.trials[-1],
            searcher=options.searcher,  # type: ignore[arg-type]
            storage=folder,
            name="scale",
            address="local",
            max_concurrent=None if options.without_ray else 1,
            quiet=True,
        )
        plan = make_plan(asked)
        meter, faults = Meter(plan, options.trials), stub.Faults(folder, seconds=0.0)
        print(
            "trials   wall,ms driver,ms  fsync,ms   user,ms memory,MB  kB/trial log kB/tr  resume,s"
        )
        if options.without_ray:
            without_ray(plan, options, meter, faults)
        else:
            with_ray(plan, meter, faults)
    if options.out:
        options.out.write_text(json.dumps([asdict(line) for line in meter.lines], indent=2))


if __name__ == "__main__":
    main(tyro.cli(Options))
