"""Who takes part in real searches, and one search of each, without Ray.

The dispatcher, the searcher, the scheduler and the plan are the project's own; there is one slot,
and a run in it is trained in this process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from unittest import mock

from search.log.events import EventLog
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.make_dispatcher import make_dispatcher
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.comparison import Comparison
from search.searchers.gp.guard import Guard
from search.searchers.gp.searcher import RungGp
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.priorband import PriorBand
from tests.benchmarks.run_cache import RunCache
from trainable.run_config import RunConfig
from trainable.training.corpus import Corpus
from trainable.training.predictions import PREDICTIONS


@dataclass(frozen=True)
class Contestant:
    """A way to search.

    Attributes:
        full_runs: Full runs of tokens after which its winner is judged, ascending; it ends at the
            last.
        options: Of `SearchOptions`, where they are not the defaults.
        change: Changes the plan.
        patch: Changes the code while it searches.
        variant: Names a patch of what a trial reports: such runs are shared with nobody else.
        is_ours: Whether its winner is chosen by the project's own rule.
        is_priorband: Whether NePS searches.
    """

    full_runs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[Plan], Plan] = lambda plan: plan
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext
    variant: str = ""
    is_ours: bool = False
    is_priorband: bool = False


def default_only(plan: Plan) -> Plan:
    """Return a plan whose first trial is the default, and all others are the searcher's."""
    return replace(plan, points=tuple(p for p in plan.points if "default" in p[1].split(", ")))


def no_default() -> AbstractContextManager[Any]:
    """Let no trial be the default: it may stop at a rung, and the highest score wins."""
    return mock.patch.object(TrialRecord, "is_default", property(lambda self: False))


def no_model() -> AbstractContextManager[Any]:
    """Let the searcher suggest what it proposes, without a model that compares."""
    return mock.patch.object(RungGp, "_incumbent", return_value=None)


def no_guard() -> AbstractContextManager[Any]:
    """Let every suggestion use the priors that is not drawn uniformly anyway."""
    return mock.patch.object(Guard, "trusts", return_value=True)


def whole_select() -> AbstractContextManager[Any]:
    """Let trials be scored on all of *select* after every unit."""
    return mock.patch.object(Corpus, "select_part", property(lambda self: None))


# What this project can be without -> how that is switched off: fields of a Contestant.
WITHOUT: dict[str, dict[str, Any]] = {
    "searcher": {"options": {"searcher": "random"}},  # nor its priors, nor the portfolio
    "model": {"patch": no_model},
    "guard": {"patch": no_guard},
    "priors": {"options": {"priors": "off"}},
    "portfolio": {"change": default_only},
    "protected-default": {"patch": no_default},
    "partial-select": {"variant": "whole select", "patch": whole_select},
}

OURS = "ours-8"  # all others are compared with it
_STOCK = (8, 32)
CONTESTANTS: dict[str, Contestant] = {
    OURS: Contestant((8,), is_ours=True),
    "tpe-asha": Contestant(_STOCK, {"searcher": "tpe", "scheduler": "asha"}, default_only),
    "random-asha": Contestant(_STOCK, {"searcher": "random", "scheduler": "asha"}, default_only),
    "priorband": Contestant(_STOCK, is_priorband=True),
    "ours-4": Contestant((4,), is_ours=True),
    "ours-16": Contestant((16,), is_ours=True),
    **{
        f"ours-8-without-{part}": Contestant((8,), is_ours=True, **off)
        for part, off in WITHOUT.items()
    },
}


@dataclass(frozen=True)
class Found:
    """What a search has found when so many tokens are spent.

    Attributes:
        full_runs: Full runs of tokens.
        config: Configuration of its winner.
        units: Units that the winner had trained for.
        score: Its score on *select*.
        origin: Who suggested it.
        tokens: Tokens that were spent, in full runs.
        n_trials: Trials that had begun.
        n_done: Trials that had run to their end.
    """

    full_runs: int
    config: RunConfig
    units: int
    score: float
    origin: str
    tokens: float
    n_trials: int
    n_done: int


# Tokens that are spent, in full runs; and what says what is found by now.
_Step = tuple[float, Callable[[], Found]]


def search(contestant: Contestant, plan: Plan, runs: RunCache) -> Iterator[Found]:
    """Search until the tokens of the last reading are spent; yields the winner at each reading.

    A search that has nothing more to try ends before, and its winner stands for what is left.
    """
    plan = contestant.change(plan)
    steps = (
        _priorband(plan, runs) if contestant.is_priorband else _dispatched(plan, runs, contestant)
    )
    left = list(contestant.full_runs)
    with contestant.patch():
        for spent, find in steps:
            while left and spent >= left[0]:
                yield replace(find(), full_runs=left.pop(0))
            if not left:
                steps.close()
                return
        for full_runs in left:
            yield replace(find(), full_runs=full_runs)


def _dispatched(plan: Plan, runs: RunCache, contestant: Contestant) -> Generator[_Step, None, None]:
    """Yield after each unit of the project's own search."""
    history, log = History(), EventLog(plan.folder.local / EVENTS)
    journal = Journal(history, log)
    journal.write("search", slots=1, cpus=1.0, gpus=0.0, **header(plan))
    dispatcher = _dispatcher(plan, journal)
    tokens: dict[int, float] = {}

    def find() -> Found:
        return _found(history, sum(tokens.values()) / plan.budget, contestant)

    try:
        for id in map("job {}".format, count()):
            job = dispatcher.next_job(id)
            if job is None:
                if dispatcher.is_finished:
                    return
                continue  # the end of the search has promoted a paused trial
            dispatcher.started(id)
            trial, unit, goes_on = job.trial, job.unit, True
            while goes_on:
                unit += 1
                report = dict(runs.report(trial.config, unit))
                failure = report.pop("failure")
                tokens[trial.number] = report["tokens"]
                goes_on = dispatcher.reported(id, unit, report, failure)
                if not failure:
                    dispatcher.saved(id, _saved(plan, trial, unit, runs))
                if goes_on:
                    yield sum(tokens.values()) / plan.budget, find
            dispatcher.left(id, 1.0, 0.0)
            yield sum(tokens.values()) / plan.budget, find
    finally:
        dispatcher.interrupt(1.0, 0.0)
        log.close()


def _dispatcher(plan: Plan, journal: Journal) -> Dispatcher:
    """Return the dispatcher of a search, which compares with the default as the driver does."""
    dispatcher = make_dispatcher(plan, journal)
    comparison = Comparison(journal, plan.folder, plan.sizes)

    def closed(trial: TrialRecord) -> None:
        if trial.status == "done":
            comparison.update()

    dispatcher.on_closed = closed
    return dispatcher


def _saved(plan: Plan, trial: TrialRecord, unit: int, runs: RunCache) -> str:
    """Return the path of a checkpoint; only the predictions of one that is done are there."""
    path = f"trial_{trial.number}/unit_{unit}"
    if unit == UNITS:
        folder = plan.folder.local / path
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(runs.predictions(trial.config), folder / PREDICTIONS)
    return path


def _found(history: History, tokens: float, contestant: Contestant) -> Found:
    trials = [t for t in history.trials.values() if t.status != "failed" and t.reports]
    # The winner of another searcher and scheduler is the first of the leaderboard.
    winner = history.best if contestant.is_ours else max(trials, key=lambda t: t.rank_key)
    assert winner is not None
    n_done = sum(trial.units == UNITS for trial in trials)
    return Found(
        0, winner.config, winner.units, winner.score, winner.origin, tokens, len(trials), n_done
    )


def _priorband(plan: Plan, runs: RunCache) -> Generator[_Step, None, None]:
    """Yield after each unit of PriorBand's search; the best is that with most units, as with us."""
    assert isinstance(plan.space, Space)
    band = PriorBand(plan.space, plan.options.seed)
    last: dict[str, tuple[int, float, float]] = {}  # units, score and tokens of each configuration
    configs: dict[str, RunConfig] = {}

    def spent() -> float:
        return sum(own[2] for own in last.values()) / plan.budget

    def find() -> Found:
        best = max(last, key=lambda own: last[own][:2])
        n_done = sum(own[0] == UNITS for own in last.values())
        return Found(0, configs[best], *last[best][:2], "priorband", spent(), len(last), n_done)

    while True:
        id, params, until = band.ask()
        own = id.partition("_")[0]
        configs[own] = plan.space.config_of(params)
        for unit in range(last.get(own, (0,))[0] + 1, until + 1):
            report = runs.report(configs[own], unit)
            failed = bool(report["failure"])
            last[own] = (0 if failed else unit, report["score"], report["tokens"])
            yield spent(), find
            if failed:
                break
        band.tell(id, last[own][1])
