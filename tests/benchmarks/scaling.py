"""Measure how a search scales over workers, and which part of the driver becomes the limit.

    python tests/benchmarks/scaling.py [--workers 1 2 4 8] [--trials 64] [--seconds 0.5] [--out DIR]

The same number of short trials, each of two units, runs on 1, 2, 4 and 8 workers. Driver, Ray Tune,
dispatcher, default searcher over the space `full`, checkpoints, TensorBoard files and event log
(with its fsync) are real. Each worker is a Ray node of its own on this machine (a raylet) with one
simulated GPU, and a unit is a sleep. The clock starts when all workers have started, because that
takes longer than so few trials.

    trials/min     measured; the `model` beside it is the simulation of the same search
    efficiency     compared with workers that train all the time
    driver         CPU seconds of the driver's process for each second
    main thread    CPU seconds of the driver's main thread for each second
    busy           milliseconds for each trial in which the main thread could do nothing else: its
                   CPU time, and its waits for the disk; split by part below

The simulation (scaling_model.py) has two parameters: `busy` of the search with most workers, and
the latency in the search with fewest. It gives the throughput of 64 and 512 workers with longer
units, and the number of workers that keep each part busy all the time. It assumes that a trial
costs Ray Tune the same however many are alive, and that the driver has a core to itself. The time
that S3 takes is assumed, not measured: the thread that copies the log deletes checkpoints there,
with seven requests of 20 ms.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import optuna
import tyro

from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.algorithms import make_searcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.report.figures import save
from tests.benchmarks.scaling_driver import Measured, drive
from tests.benchmarks.scaling_report import (
    LATER_TRIALS,
    UNITS,
    Line,
    bounds,
    costs_of,
    picture,
    print_bounds,
    print_larger,
    print_measured,
)
from tests.chaos.clusters import Nodes
from tests.chaos.simulation import simulate
from tests.chaos.stub import Faults, units


@dataclass(frozen=True)
class Options:
    """Measure the same short trials on more and more workers."""

    workers: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of workers, in rising order."""

    trials: int = 64
    """Trials of each search."""

    seconds: float = 0.5
    """Duration of a unit; a trial has two."""

    out: Path | None = None
    """Folder for scaling.json and scaling.png."""


def measure(options: Options, workers: int, folder: Path, address: str) -> Line:
    """Run one search in its own process, because `drive` changes what it measures."""
    asked = search_options(options.trials, folder, max_concurrent=workers, address=address)
    faults = Faults(str(folder), seconds=options.seconds)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as process:
        measured = Measured(**process.submit(drive, asked, workers, faults).result())
    log = read_events(folder / "scaling" / EVENTS)
    begun = min(line["time"] for line in units(folder) if line["what"] == "begun")
    ended = max(event["time"] for event in log if event["event"] == "ended")
    return Line(workers, options.trials, ended - begun, len(log) / options.trials, measured)


def search_options(trials: int, folder: Path, **more: object) -> SearchOptions:
    """Return the options of a search in which each trial runs all of its units."""
    common = SearchOptions(
        space="full",
        trials=trials,
        units=UNITS,
        budget="60000",
        scheduler="none",
        storage=str(folder),
        name="scaling",
        quiet=True,
    )
    return replace(common, **more)  # type: ignore[arg-type]


def suggestion_seconds(trials: int) -> float:
    """Return the CPU seconds of a suggestion after so many trials.

    It is the mean over a fifth more trials, in which the default searcher fits its hyperparameters
    once.
    """
    with tempfile.TemporaryDirectory() as folder:
        at_random = make_plan(search_options(trials, Path(folder), searcher="random"))
        history = History(simulate(at_random, Faults(folder), n_slots=8))
        more = trials // 5
        plan = make_plan(search_options(trials + more, Path(folder), name="next"))
        searcher = make_searcher(plan.options, plan.space, plan.n_trials, plan.rungs)
        started = time.process_time()
        for number in range(trials, trials + more):
            searcher.suggest(number, history)
        return (time.process_time() - started) / more


def main(options: Options) -> None:
    """Measure, simulate, and print."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder, Nodes() as nodes:
        for _ in range(max(options.workers)):
            nodes.add(gpus=1)
        for workers in options.workers:
            own = Path(folder) / str(workers)
            own.mkdir()
            lines.append(measure(options, workers, own, nodes.address))
            print(f"{workers} workers: {lines[-1].per_minute:.1f} trials a minute", flush=True)
    costs, later = costs_of(lines, options.seconds), suggestion_seconds(LATER_TRIALS)
    print_measured(lines, options.seconds, costs)
    found = bounds(lines[-1], later)
    print_bounds(found, costs, lines[-1])
    print_larger(replace(costs, driver=found[f"driver, {LATER_TRIALS} trials"]))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        figures = {"costs": asdict(costs), "lines": [asdict(line) for line in lines]}
        (options.out / "scaling.json").write_text(json.dumps(figures, indent=2))
        save(picture(lines, costs, options.seconds), options.out / "scaling.png")


if __name__ == "__main__":
    main(tyro.cli(Options))
