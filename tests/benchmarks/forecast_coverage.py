"""How often the 80 % interval of a forecast holds what a search then takes.

    python tests/benchmarks/forecast_coverage.py [--searches 25]

Searches are played with the real dispatcher, searcher, scheduler and forecaster, by a clock of
their own. Their scores are those of families.py. What units take is drawn from twelve searches that
were trained (unit_seconds.json: the sample data and the tiny encoder on a shared, busy machine): a
search takes one of these, and its default and each of its other trials take the units of one there.
There are two families, searches of 12 and 24 trials, and 1 and 4 slots.

A forecast is made before the start, from what an earlier search with the same units recorded on
another day; after the first unit, where nothing was known before; and when a quarter of the units
are trained that the rungs provide for.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import tyro
from rich.progress import track

from search.log.history import History, Journal
from search.log.trial import Metrics, TrialRecord
from search.loop.forecast import Forecaster
from search.loop.make_dispatcher import make_dispatcher
from search.planning.plan import Plan
from search.planning.resume import header
from search.planning.unit_times import KnownBefore
from search.replaying.simulated_slots import ReportOf, SimulatedSlots
from search.schedulers.rungs import units_per_trial
from tests.benchmarks.curve import Curve, CurveOf
from tests.benchmarks.families import family
from tests.benchmarks.replay import any_plan
from trainable.tasks import COURSE

_RECORDED = Path(__file__).with_name("unit_seconds.json")
_SWITCH, _START = 0.25, 0.1  # seconds
_QUARTER = 0.25
_DAYS = 0.2  # of the logarithm of seconds: how unequal a machine is from one search to the next
BEFORE, FIRST, QUARTER = "before the start", "first unit", "a quarter"


@dataclass(frozen=True)
class Options:
    """Play searches, and count how often a forecast holds."""

    searches: int = 25
    """Searches of each family, size and number of slots."""

    families: tuple[str, ...] = ("crossing", "parallel")
    """Families of curves."""

    trials: tuple[int, ...] = (12, 24)
    """Trials of a search."""

    slots: tuple[int, ...] = (1, 4)
    """Trials at a time."""


class RecordedUnits:
    """Seconds of units, as those of one search that was trained.

    Args:
        recorded: Seconds of the units of its default, and of each other trial.
        draw: Which trial takes whose units.
    """

    def __init__(self, recorded: dict[str, Any], draw: random.Random) -> None:
        self._recorded, self._draw = recorded, draw
        self._drawn: dict[int, list[float]] = {}

    def seconds(self, number: int, unit: int) -> float:
        """Return the seconds of a unit; behind the last that is recorded, one of the others."""
        if number not in self._drawn:
            others = self._recorded["others"]
            own = self._draw.choice(others) if number else self._recorded["default"]
            self._drawn[number] = own.copy()
        own = self._drawn[number]
        while len(own) < unit:
            own.append(self._draw.choice(own))
        return own[unit - 1]


@dataclass(frozen=True)
class Held:
    """A forecast, and what came.

    Attributes:
        when: `BEFORE`, `FIRST` or `QUARTER`.
        low: Seconds.
        high: Seconds.
        took: Seconds.
    """

    when: str
    low: float
    high: float
    took: float

    @property
    def is_inside(self) -> bool:
        """Whether it came as forecast."""
        return self.low <= self.took <= self.high


def play(
    plan: Plan, curve_of: CurveOf, units: RecordedUnits, slots: int, known: KnownBefore
) -> list[Held]:
    """Play a search to its end; returns its forecasts."""

    def seconds_of(trial: TrialRecord, unit: int, begins: bool) -> float:
        return units.seconds(trial.number, unit) + (_SWITCH + _START if begins else 0.0)

    simulated = SimulatedSlots(slots, seconds_of)
    journal = Journal(History())
    journal.write("search", slots=slots, **header(plan))

    def clock() -> float:
        return simulated.now

    dispatcher = make_dispatcher(plan, journal, clock)

    def forecaster(known: KnownBefore | None) -> Forecaster:
        return Forecaster(dispatcher, plan, 1.0, known, lambda: slots, print, 0.0, clock)

    made = [(BEFORE, 0.0, forecaster(known).interval())]
    own = forecaster(None)
    quarter = _QUARTER * plan.n_trials * units_per_trial(plan.rungs, plan.options.eta)
    for _ in simulated.play(dispatcher, _reports(curve_of, units)):
        for when, at in ((FIRST, 1), (QUARTER, math.ceil(quarter))):
            if simulated.n_units == at:
                made.append((when, clock(), own.interval()))
    return [Held(when, *interval, clock() - then) for when, then, interval in made]


def _reports(curve_of: CurveOf, units: RecordedUnits) -> ReportOf:
    """Return what trials report: scores of their curves, and seconds as they were recorded."""
    curves: dict[int, Curve] = {}

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        if trial.number not in curves:
            curves[trial.number] = curve_of(trial.params)
        score = curves[trial.number].report(unit)["score"]
        report: Metrics = {task.metric_key: score for task in COURSE.values()}
        report["score"] = score
        # The clock of the search is not that of its log, so seconds are as reported.
        took = units.seconds(trial.number, unit)
        report |= {"train_seconds": took, "eval_seconds": 0.0, "start_seconds": _START}
        return report, ""

    return report_of


def known_of(recorded: dict[str, Any], draw: random.Random) -> KnownBefore:
    """Return what an earlier search with these units would tell, on a machine of another day."""
    others = [fmean(map(math.log, own)) for own in recorded["others"]]
    default, mean = fmean(map(math.log, recorded["default"])), fmean(others)
    error = math.hypot(_DAYS, stdev(others) / len(others) ** 0.5)
    spread, over = stdev(others), mean - default
    day = draw.gauss(0.0, _DAYS)
    return KnownBefore(mean + day, error, 0.0, _START, 0.0, "", spread, over, _DAYS)


def searches(options: Options) -> dict[tuple[str, int, int, str], list[Held]]:
    """Play all searches; returns family, trials, slots and when -> forecasts."""
    recorded = json.loads(_RECORDED.read_text("utf-8"))
    found: dict[tuple[str, int, int, str], list[Held]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        plan = any_plan(folder)
    for name in options.families:
        curves = family(name)
        point = (curves.space.params_of(curves.space.base), "default")
        plan = replace(plan, space=curves.space, points=(point,), carried=())
        settings = product(options.trials, options.slots, range(options.searches))
        for n_trials, slots, seed in track(list(settings), name, transient=True):
            draw = random.Random(f"{name} {n_trials} {slots} {seed}")
            own = draw.choice(recorded)
            asked = replace(plan, options=replace(plan.options, seed=seed), n_trials=n_trials)
            known, units = known_of(own, draw), RecordedUnits(own, draw)
            for held in play(asked, curves.problem(seed), units, slots, known):
                found[name, n_trials, slots, held.when].append(held)
    return found


def table(found: dict[tuple[str, int, int, str], list[Held]]) -> str:
    """Return a table: how many forecasts held, and how wide they were."""
    lines = ["| family | trials | slots | when | held | high / low |", "|---|---|---|---|---|---|"]
    for when in (BEFORE, FIRST, QUARTER):
        own = {key: held for key, held in found.items() if key[-1] == when}
        for key, held in own.items():
            lines.append(f"| {' | '.join(map(str, key))} | {_cells(held)} |")
        everything = [one for held in own.values() for one in held]
        lines += [f"| all | | | {when} | {_cells(everything)} |"] if everything else []
    return "\n".join(lines)


def _cells(held: list[Held]) -> str:
    inside = sum(own.is_inside for own in held)
    below = sum(own.took < own.low for own in held)
    width = median(own.high / own.low for own in held)
    above = len(held) - inside - below
    return f"{inside / len(held):.0%} of {len(held)} ({below} below, {above} above) | {width:.2f}"


if __name__ == "__main__":
    print(table(searches(tyro.cli(Options))))
