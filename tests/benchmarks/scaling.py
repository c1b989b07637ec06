"""How a search scales over workers, and what becomes the limit.

    python tests/benchmarks/scaling.py [--workers 1 2 4 8] [--trials 64] [--seconds 0.5] [--out DIR]

The same number of short trials, each of two units, on 1, 2, 4 and 8 workers. Driver, Ray Tune,
dispatcher, suggestions (of the default searcher, over the space `full`), checkpoints, TensorBoard
files and event log (with its fsync) are real. Each worker is a Ray node of its own on this machine
(a raylet), with one pretended GPU; a unit is a sleep. Times begin when all workers have started,
which takes longer than so few trials.

    trials/min     measured; `model` is what the simulation says of the same
    efficiency     of workers that would only train
    driver         CPU seconds of the driver's process for each second, and of its main thread
    busy           milliseconds for each trial in which the main thread could do nothing else: its
                   CPU time, and what it waited for the disk
    split          of these milliseconds

The simulation (scaling_model.py) has two numbers: `busy` of the search with most workers, and the
latency that is left of the search with fewest. From these it says what 64 and 512 workers do with
longer units, and how many workers keep each part busy all the time. It assumes that a trial costs
Ray Tune the same however many are alive, and that the driver has a core to itself. What S3 takes is
not measured: the thread that copies the log deletes checkpoints there, by seven requests of 20 ms.
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

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import optuna
import tyro
from matplotlib.figure import Figure

from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.algorithms import make_searcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.report.figures import save
from tests.benchmarks.scaling_driver import PARTS, Measured, drive
from tests.benchmarks.scaling_model import Costs, most_workers, simulate
from tests.chaos.clusters import Nodes
from tests.chaos.simulation import simulate as play
from tests.chaos.stub import Faults, units

_UNITS = 2
_LATER_TRIALS = 1000  # where the price of a suggestion is measured a second time
_LARGER = (64, 512)
_UNIT_SECONDS = (5.0, 30.0, 60.0, 300.0)
# Arrow deletes a checkpoint in S3 by seven requests, one after the other (counted at a stand-in for
# S3); 20 ms each are assumed.
_DELETE_SECONDS = 7 * 0.02


@dataclass(frozen=True)
class Options:
    """Measure the same short trials on more and more workers."""

    workers: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of workers, rising."""

    trials: int = 64
    """Trials on each number of workers."""

    seconds: float = 0.5
    """Of a unit; a trial has two."""

    out: Path | None = None
    """Folder for figures as JSON and a picture."""


@dataclass(frozen=True)
class Line:
    """Figures of one search.

    Attributes:
        workers: Trials at a time.
        trials: Of the search.
        seconds: From the begin of the first unit to the end of the last trial.
        events: Lines of the log for each trial.
        measured: What the driver did.
    """

    workers: int
    trials: int
    seconds: float
    events: float
    measured: Measured

    @property
    def per_minute(self) -> float:
        """Trials a minute."""
        return 60 * self.trials / self.seconds

    def busy(self, part: str) -> float:
        """Seconds of the main thread for each trial; of the log those that it waited, too."""
        times = self.measured.wall if part in ("log", "checkpoints") else self.measured.cpu
        return times.get(part, 0.0) / self.trials

    @property
    def driver(self) -> float:
        """Seconds of the main thread for each trial."""
        return sum(self.busy(part) for part in PARTS)


def measure(options: Options, workers: int, folder: Path, address: str) -> Line:
    """Run one search in a process of its own."""
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
        units=_UNITS,
        budget="60000",
        scheduler="none",
        storage=str(folder),
        name="scaling",
        quiet=True,
    )
    return replace(common, **more)  # type: ignore[arg-type]


def suggestion_seconds(trials: int) -> float:
    """Return the CPU seconds of a suggestion after so many trials, as a mean over a fifth more.

    In these the default learns its hyperparameters once.
    """
    with tempfile.TemporaryDirectory() as folder:
        at_random = make_plan(search_options(trials, Path(folder), searcher="random"))
        history = History(play(at_random, Faults(folder), n_slots=8))
        more = trials // 5
        plan = make_plan(search_options(trials + more, Path(folder), name="next"))
        searcher = make_searcher(plan.options, plan.space, plan.n_trials, plan.rungs)
        started = time.process_time()
        for number in range(trials, trials + more):
            searcher.suggest(number, history)
        return (time.process_time() - started) / more


def costs_of(lines: list[Line], unit_seconds: float) -> Costs:
    """Return what a job costs; see the text above."""
    first, last = lines[0], lines[-1]
    own = first.workers * first.seconds / first.trials  # of one worker for each trial
    latency = own - _UNITS * unit_seconds - first.driver
    return Costs(last.driver, max(0.0, latency), _UNITS)


def print_measured(lines: list[Line], options: Options, costs: Costs) -> None:
    """Print a line for each number of workers."""
    print("workers  trials/min   model  efficiency   model  driver  main thread  busy, ms")
    ideal = 60 / (_UNITS * options.seconds)
    for line in lines:
        found, own = line.per_minute, line.measured
        model = 60 * line.trials / _simulated(costs, line, options)
        cpu = sum(own.cpu.values())
        print(
            f"{line.workers:7} {found:11.1f} {model:7.1f} {found / ideal / line.workers:11.0%} "
            f"{model / ideal / line.workers:7.0%} {own.process / own.seconds:7.0%} "
            f"{cpu / own.seconds:12.0%} {1000 * line.driver:9.1f}"
        )
    print("\nsplit of busy, ms a trial\nworkers ", *(f"{part:>11}" for part in PARTS))
    for line in lines:
        print(f"{line.workers:7} ", *(f"{1000 * line.busy(part):11.2f}" for part in PARTS))


def _simulated(costs: Costs, line: Line, options: Options) -> float:
    return simulate(costs, line.workers, options.seconds, line.trials).seconds


def bounds(line: Line, later: float) -> dict[str, float]:
    """Return what each part takes for a trial, in seconds: the part's bound.

    Args:
        line: The search with most workers.
        later: Seconds of a suggestion after `_LATER_TRIALS`.
    """
    suggestions, local = line.busy("suggestions"), line.busy("checkpoints")
    remote = _DELETE_SECONDS * line.measured.calls.get("checkpoints", 0) / line.trials
    much = line.driver - suggestions + max(later, suggestions)
    return {
        "driver": line.driver,
        f"driver, {_LATER_TRIALS} trials": much,
        f"driver, {_LATER_TRIALS} trials, S3": much - local + remote,
        "  Ray Tune": line.busy("tune") + line.busy("waiting"),
        "  suggestions": suggestions,
        f"  suggestions, {_LATER_TRIALS} trials": later,
        "  event log": line.busy("log"),
        "  TensorBoard files": line.busy("tensorboard"),
        "  checkpoints, local": local,
        "  checkpoints, S3": remote,
    }


def print_bounds(found: dict[str, float], costs: Costs, line: Line) -> None:
    """Print how many trials a minute, and how many workers, each part can serve."""
    heads = (f"{seconds:g} s units" for seconds in _UNIT_SECONDS)
    print(f"\n{'workers served by':28} trials/min ", *(f"{head:>12}" for head in heads))
    for part, seconds in found.items():
        if seconds:
            served = (most_workers(seconds, costs, unit) for unit in _UNIT_SECONDS)
            print(f"{part:28} {60 / seconds:10,.0f} ", *(f"{n:12,.0f}" for n in served))
    a_second = line.events / line.busy("log")
    print(f"the log takes {a_second:,.0f} events a second; a trial writes {line.events:.1f}")


def print_larger(costs: Costs) -> None:
    """Print what more workers would do, by simulation."""
    print("\nsimulated  unit, s  trials/min  efficiency  driver busy")
    for workers in _LARGER:
        for seconds in _UNIT_SECONDS:
            jobs = 20 * workers
            found = simulate(costs, workers, seconds, jobs)
            rate, ideal = 60 * jobs / found.seconds, 60 * workers / (_UNITS * seconds)
            print(
                f"{workers:9} {seconds:8g} {rate:11.1f} {rate / ideal:11.1%} "
                f"{found.driver_share:12.1%}"
            )


def picture(lines: list[Line], costs: Costs, unit_seconds: float) -> Figure:
    """Trials a minute over workers: ideal, measured and simulated."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    many = [2**power for power in range(10)]
    ideal = 60 / (_UNITS * unit_seconds)
    rates = [1200 * n / simulate(costs, n, unit_seconds, 20 * n).seconds for n in many]
    axes.plot(many, [ideal * n for n in many], "--", color="grey", label="ideal")
    axes.plot(many, rates, label="simulated")
    axes.plot(
        [line.workers for line in lines], [x.per_minute for x in lines], "o", label="measured"
    )
    axes.axhline(60 / costs.driver, color="grey", linewidth=0.8, label="driver always busy")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="trials a minute")
    axes.set_title(f"trials of {_UNITS} units of {unit_seconds:g} s")
    axes.legend()
    return figure


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
    costs, later = costs_of(lines, options.seconds), suggestion_seconds(_LATER_TRIALS)
    print_measured(lines, options, costs)
    found = bounds(lines[-1], later)
    print_bounds(found, costs, lines[-1])
    print_larger(replace(costs, driver=found[f"driver, {_LATER_TRIALS} trials"]))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        figures = {"costs": asdict(costs), "lines": [asdict(line) for line in lines]}
        (options.out / "scaling.json").write_text(json.dumps(figures, indent=2))
        save(picture(lines, costs, options.seconds), options.out / "scaling.png")


if __name__ == "__main__":
    main(tyro.cli(Options))
