"""One search replayed on known curves: the real dispatcher, and pretended places."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, replace
from itertools import count

from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from search.schedulers.rungs import units_per_trial
from tests.benchmarks.curve import UNITS, CurveOf
from tests.benchmarks.families import Family
from tests.chaos.simulation import make_dispatcher

_PLACES = 4  # trials at a time

# Name -> searcher and scheduler, as on the command line; the first is the default.
CONTESTANTS = {
    "rung-gp + promotion-asha": ("rung-gp", "promotion-asha"),
    "random + asha": ("random", "asha"),
    "tpe + asha (stock)": ("tpe", "asha"),
    "stepwise": ("stepwise", "none"),
}


@dataclass(frozen=True)
class Replay:
    """What came of a search.

    Attributes:
        final: After each unit of training that the search spent, what the trial that led its
            leaderboard is worth.
        n_trials: Trials that began.
        n_done: Trials that ran to their full budget.
    """

    final: list[float]
    n_trials: int
    n_done: int


def any_plan(folder: str) -> Plan:
    """Return a plan whose space and options `replay` replaces."""
    return make_plan(SearchOptions(storage=folder, name="replay", units=UNITS))


def replay(plan: Plan, family: Family, contestant: str, seed: int, budget: int) -> Replay:
    """Run a search until it has spent its budget.

    A place trains one unit in a time of about 1, a little random, so that places do not stay in
    step. The search is told of a quarter more trials than the budget pays for if one in eta passes
    a rung: it is the budget that ends a search.

    Args:
        plan: Of `any_plan`.
        family: Space and curves.
        contestant: One of `CONTESTANTS`.
        seed: Of problem, searcher, scheduler and times.
        budget: Units of training, of all trials together.
    """
    searcher, scheduler = CONTESTANTS[contestant]
    options = replace(plan.options, searcher=searcher, scheduler=scheduler, seed=seed)  # type: ignore[arg-type]
    plan = replace(
        plan,
        options=options,
        space=family.space,
        points=(),
        carried=(),
        n_trials=n_trials(plan, budget),
    )
    journal = Journal(History())
    journal.write("search", slots=_PLACES, **header(plan))
    dispatcher = make_dispatcher(plan, journal)
    return _run(dispatcher, family.problem(seed), random.Random(f"times {seed}"), budget)


def n_trials(plan: Plan, budget: int) -> int:
    """Return a quarter more trials than so many units pay for if one in eta passes each rung."""
    return math.ceil(1.25 * budget / units_per_trial(plan.rungs, plan.options.eta))


def _run(dispatcher: Dispatcher, curve_of: CurveOf, draw: random.Random, budget: int) -> Replay:
    history, curves, ids = dispatcher.history, {}, count()
    places: list[tuple[float, str, int]] = []  # when a unit ends, job, unit
    final: list[float] = []
    now = 0.0

    def train(id: str, unit: int) -> None:
        heapq.heappush(places, (now + draw.uniform(0.95, 1.05), id, unit))

    while len(final) < budget:
        while len(places) < _PLACES:
            id = f"job {next(ids)}"
            job = dispatcher.next_job(id)
            if job is not None:
                dispatcher.started(id)
                train(id, job.unit + 1)
            elif places or dispatcher.is_finished:
                break
        if not places:  # the searcher has nothing more to suggest
            final += final[-1:] * (budget - len(final))
            break
        now, id, unit = heapq.heappop(places)
        trial = dispatcher.jobs[id].trial
        if trial.number not in curves:
            curves[trial.number] = curve_of(trial.params)
        goes_on = dispatcher.reported(id, unit, curves[trial.number].report(unit))
        dispatcher.saved(id, f"{trial.number}/{unit}")
        if goes_on:
            train(id, unit + 1)
        else:
            dispatcher.left(id, 1.0, 0.0)
        best = history.best
        assert best is not None
        final.append(curves[best.number].worth)
    n_done = sum(trial.status == "done" for trial in history.trials.values())
    return Replay(final, len(history.trials), n_done)
