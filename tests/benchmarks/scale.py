"""Measure what a search of many trials costs its driver: time, memory, log, and resumption.

    python tests/benchmarks/scale.py [--trials 100 1000 10000] [--without-ray] [--tensorboard] \\
        [--searcher random]

Trials do no work. Searcher, scheduler, dispatcher, checkpoints and event log (with its fsync) are
those of a real search over the space `full`. By default they run under real Ray Tune, one trial at
a time: with trials this short Tune would drop a second actor before it has started, because the
first is free again, and would start workers in vain. With --without-ray the dispatcher is called
directly, which leaves the cost of this project alone. The columns, at each number of trials:

    wall           milliseconds from one trial to the next
    driver         the part of them in which the driver's main thread worked and did not wait in
                   `ray.wait` for a worker or a message
    fsync          the part of `driver` in which it waited for the disk
    user           CPU milliseconds of all threads of the driver, Ray's included
    memory         resident memory of the driver, and its growth for each trial since the last line
    log            bytes of the event log for each trial
    resume         seconds that a resumed driver needs until its first job: it reads the log,
                   rebuilds the history, and makes searcher and scheduler

The first four are means over the last hundred trials.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import optuna
import tyro
from rich.console import Console

import search.commands.run
import search.commands.run_jobs
import search.loop.make_dispatcher
from search.log.events import EventLog
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.tensorboard import TensorBoard
from tests.benchmarks.scale_meter import HEADINGS, Meter
from tests.chaos import stub
from tests.chaos.simulation import run


@dataclass(frozen=True)
class Options:
    """Measure what trials cost the driver."""

    trials: tuple[int, ...] = (100, 1000, 10_000)
    """Where to measure; the last one is the size of the search."""

    without_ray: bool = False
    """Call the dispatcher directly."""

    tensorboard: bool = False
    """Write TensorBoard files with --without-ray, too; under Ray they are always written."""

    slots: int = 8
    """Trials at a time with --without-ray."""

    space: str = "full"
    """As in search/run.py."""

    searcher: str = "rung-gp"
    """As in search/run.py."""

    out: Path | None = None
    """Also write the figures as JSON."""


def without_ray(plan: Plan, options: Options, meter: Meter, faults: stub.Faults) -> None:
    """Run the search with simulated slots that answer at once."""
    log = EventLog(plan.folder.local / EVENTS)
    journal = Journal(History(), log)
    journal.write("search", slots=options.slots, **header(plan))
    tensorboard = (
        TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
        if options.tensorboard
        else None
    )
    trials, draw = journal.history.trials, random.Random(0)
    run(plan, journal, faults, options.slots, draw, tensorboard, lambda: meter.look(len(trials)))
    log.close()


def with_ray(plan: Plan, meter: Meter, faults: stub.Faults) -> None:
    """Run the search as `search/run.py` does, but without its report."""
    search.commands.run_jobs.MultitaskTrainable = type(  # type: ignore[attr-defined, assignment]
        "StubTrainable", (stub.StubTrainable,), {"faults": faults}
    )

    class MeteredDispatcher(Dispatcher):
        def started(self, id: str) -> None:
            super().started(id)
            meter.look(len(self.history.trials))

    search.loop.make_dispatcher.Dispatcher = MeteredDispatcher  # type: ignore[attr-defined]
    search.commands.run.write_results = _no_results  # type: ignore[attr-defined, assignment]
    started = time.perf_counter()
    search.commands.run.run_search(plan, Console(quiet=True))
    print(f"whole search: {time.perf_counter() - started:.0f} s")


def _no_results(*_: Any) -> None:
    """Replace the report, which is written once after the search and not measured here."""


def main(options: Options) -> None:
    """Measure, and print a line at each number of trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        asked = SearchOptions(
            space=options.space,
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
        print(HEADINGS)
        if options.without_ray:
            without_ray(plan, options, meter, faults)
        else:
            with_ray(plan, meter, faults)
    if options.out:
        options.out.write_text(json.dumps([asdict(line) for line in meter.lines], indent=2))


if __name__ == "__main__":
    main(tyro.cli(Options))
