"""Replay one search on known curves: the real dispatcher, and simulated slots."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

from search.log.history import History, Journal
from search.log.trial import Metrics, TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.make_dispatcher import make_dispatcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from search.replaying.simulated_slots import SimulatedSlots, about_one_second
from search.schedulers.rungs import units_per_trial
from tests.benchmarks.curve import UNITS, Curve, CurveOf
from tests.benchmarks.families import Family

_SLOTS = 4

# Name -> options as on the command line; the first has the defaults. The landscapes are made up, so
# that the default configuration, around which priors lie, is no better there than a draw.
CONTESTANTS: dict[str, dict[str, Any]] = {
    "rung-gp + promotion-asha": {},
    "the same, --priors off": {"priors": "off"},
    "random + asha": {"searcher": "random", "scheduler": "asha"},
    "tpe + asha (stock)": {"searcher": "tpe", "scheduler": "asha"},
    "stepwise": {"searcher": "stepwise", "scheduler": "none"},
}


@dataclass(frozen=True)
class Replay:
    """The result of one replayed search.

    Attributes:
        final: After each unit of training that the search spent, the worth of the trial that led
            the leaderboard; NaN while all trials have failed.
        n_trials: Trials that began.
        n_done: Trials that ran to their full budget.
    """

    final: list[float]
    n_trials: int
    n_done: int


def any_plan(folder: str) -> Plan:
    """Return a plan; `replay` replaces its space, searcher, scheduler, seed and trials."""
    return make_plan(SearchOptions(storage=folder, name="replay", units=UNITS))


def replay(plan: Plan, family: Family, contestant: str, seed: int, budget: int) -> Replay:
    """Run a search until it has spent its budget.

    A slot trains a unit in a random time of about 1, so that slots do not stay in step. The search
    may suggest a quarter more trials than the budget pays for if one in eta passes each rung, so
    that it is the budget that ends it.

    Args:
        plan: From `any_plan`.
        family: Space and curves.
        contestant: One of `CONTESTANTS`.
        seed: Seed of problem, searcher, scheduler and times.
        budget: Units of training, of all trials together.
    """
    options = replace(plan.options, seed=seed, **CONTESTANTS[contestant])
    plan = replace(
        plan,
        options=options,
        space=family.space,
        points=(),
        carried=(),
        n_trials=n_trials(plan, budget),
    )
    journal = Journal(History())
    journal.write("search", slots=_SLOTS, **header(plan))
    dispatcher = make_dispatcher(plan, journal)
    return run_slots(
        dispatcher, family.problem(seed), random.Random(f"times {seed}"), budget, _SLOTS
    )


def n_trials(plan: Plan, budget: int) -> int:
    """Return a quarter more trials than so many units pay for if one in eta passes each rung."""
    return math.ceil(1.25 * budget / units_per_trial(plan.rungs, plan.options.eta))


def run_slots(
    dispatcher: Dispatcher, curve_of: CurveOf, draw: random.Random, budget: int, n_slots: int
) -> Replay:
    """Run the jobs of a dispatcher until its search has spent its budget.

    A trial whose score is NaN fails there, as a real one does.

    Args:
        dispatcher: Of a search that has just begun.
        curve_of: The curve of a configuration.
        draw: How long each unit takes.
        budget: Units of training, of all trials together.
        n_slots: Trials at a time.
    """
    history, curves = dispatcher.history, dict[int, Curve]()

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        if trial.number not in curves:
            curves[trial.number] = curve_of(trial.params)
        report: Metrics = {**curves[trial.number].report(unit)}
        is_lost = not math.isfinite(report["score"] or 0.0)
        return ({"score": None}, "diverged") if is_lost else (report, "")

    final: list[float] = []
    for _ in SimulatedSlots(n_slots, about_one_second(draw)).play(dispatcher, report_of):
        best = history.best
        final.append(math.nan if best is None else curves[best.number].worth)
        if len(final) == budget:
            break
    final += final[-1:] * (budget - len(final))  # the searcher had nothing more to suggest
    n_done = sum(trial.status == "done" for trial in history.trials.values())
    return Replay(final, len(history.trials), n_done)
