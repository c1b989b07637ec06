"""The tables and the picture of scaling.py, from its measurements."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from tests.benchmarks.scaling_driver import PARTS, Measured
from tests.benchmarks.scaling_model import Costs, most_workers, simulate

UNITS = 2  # of a trial
LATER_TRIALS = 1000  # after so many trials the cost of a suggestion is measured again
_LARGER = (64, 512)
_UNIT_SECONDS = (5.0, 30.0, 60.0, 300.0)
# Arrow deletes a checkpoint in S3 with seven requests, one after the other (counted with moto);
# 20 ms for each are assumed.
_DELETE_SECONDS = 7 * 0.02


@dataclass(frozen=True)
class Line:
    """Figures of one search.

    Attributes:
        workers: Trials at a time.
        trials: Number of trials.
        seconds: From the start of the first unit to the end of the last trial.
        events: Lines of the log for each trial.
        measured: Times of the driver.
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
        """Seconds of the main thread for each trial; waits for the disk count as well."""
        times = self.measured.wall if part in ("log", "checkpoints") else self.measured.cpu
        return times.get(part, 0.0) / self.trials

    @property
    def driver(self) -> float:
        """Seconds of the main thread for each trial."""
        return sum(self.busy(part) for part in PARTS)


def costs_of(lines: list[Line], unit_seconds: float) -> Costs:
    """Return what a job costs: `busy` with most workers, and the latency with fewest."""
    first, last = lines[0], lines[-1]
    own = first.workers * first.seconds / first.trials  # of one worker for each trial
    latency = own - UNITS * unit_seconds - first.driver
    return Costs(last.driver, max(0.0, latency), UNITS)


def print_measured(lines: list[Line], unit_seconds: float, costs: Costs) -> None:
    """Print a line for each number of workers."""
    print("workers  trials/min   model  efficiency   model  driver  main thread  busy, ms")
    ideal = 60 / (UNITS * unit_seconds)
    for line in lines:
        found, own = line.per_minute, line.measured
        model = 60 * line.trials / _simulated(costs, line, unit_seconds)
        cpu = sum(own.cpu.values())
        print(
            f"{line.workers:7} {found:11.1f} {model:7.1f} {found / ideal / line.workers:11.0%} "
            f"{model / ideal / line.workers:7.0%} {own.process / own.seconds:7.0%} "
            f"{cpu / own.seconds:12.0%} {1000 * line.driver:9.1f}"
        )
    print("\nsplit of busy, ms a trial\nworkers ", *(f"{part:>11}" for part in PARTS))
    for line in lines:
        print(f"{line.workers:7} ", *(f"{1000 * line.busy(part):11.2f}" for part in PARTS))


def _simulated(costs: Costs, line: Line, unit_seconds: float) -> float:
    return simulate(costs, line.workers, unit_seconds, line.trials).seconds


def bounds(line: Line, later: float) -> dict[str, float]:
    """Return part -> seconds that it needs for each trial, which bound the throughput.

    Args:
        line: Figures with most workers.
        later: CPU seconds of a suggestion after `LATER_TRIALS`.
    """
    suggestions, local = line.busy("suggestions"), line.busy("checkpoints")
    remote = _DELETE_SECONDS * line.measured.calls.get("checkpoints", 0) / line.trials
    later_driver = line.driver - suggestions + max(later, suggestions)
    return {
        "driver": line.driver,
        f"driver, {LATER_TRIALS} trials": later_driver,
        f"driver, {LATER_TRIALS} trials, S3": later_driver - local + remote,
        "  Ray Tune": line.busy("tune") + line.busy("waiting"),
        "  suggestions": suggestions,
        f"  suggestions, {LATER_TRIALS} trials": later,
        "  event log": line.busy("log"),
        "  TensorBoard files": line.busy("tensorboard"),
        "  checkpoints, local": local,
        "  checkpoints, S3": remote,
    }


def print_bounds(found: dict[str, float], costs: Costs, line: Line) -> None:
    """Print how many trials a minute and how many workers each part can serve."""
    heads = (f"{seconds:g} s units" for seconds in _UNIT_SECONDS)
    print(f"\n{'workers served by':28} trials/min ", *(f"{head:>12}" for head in heads))
    for part, seconds in found.items():
        if seconds:
            served = (most_workers(seconds, costs, unit) for unit in _UNIT_SECONDS)
            print(f"{part:28} {60 / seconds:10,.0f} ", *(f"{n:12,.0f}" for n in served))
    a_second = line.events / line.busy("log")
    print(f"the log takes {a_second:,.0f} events a second; a trial writes {line.events:.1f}")


def print_larger(costs: Costs) -> None:
    """Print the simulated throughput of larger numbers of workers."""
    print("\nsimulated  unit, s  trials/min  efficiency  driver busy")
    for workers in _LARGER:
        for seconds in _UNIT_SECONDS:
            jobs = 20 * workers
            found = simulate(costs, workers, seconds, jobs)
            rate, ideal = 60 * jobs / found.seconds, 60 * workers / (UNITS * seconds)
            print(
                f"{workers:9} {seconds:8g} {rate:11.1f} {rate / ideal:11.1%} "
                f"{found.driver_share:12.1%}"
            )


def picture(lines: list[Line], costs: Costs, unit_seconds: float) -> Figure:
    """Plot trials a minute over workers: ideal, measured and simulated."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    many = [2**power for power in range(10)]
    ideal = 60 / (UNITS * unit_seconds)
    rates = [1200 * n / simulate(costs, n, unit_seconds, 20 * n).seconds for n in many]
    axes.plot(many, [ideal * n for n in many], "--", color="grey", label="ideal")
    axes.plot(many, rates, label="simulated")
    axes.plot(
        [line.workers for line in lines], [x.per_minute for x in lines], "o", label="measured"
    )
    axes.axhline(60 / costs.driver, color="grey", linewidth=0.8, label="driver always busy")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="trials a minute")
    axes.set_title(f"trials of {UNITS} units of {unit_seconds:g} s")
    axes.legend()
    return figure
