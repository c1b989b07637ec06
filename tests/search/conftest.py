"""Plans and trial records made by hand, and searches that are played, without Ray."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.log.events import VERSION, Event
from search.log.history import History, Journal
from search.log.trial import Status, TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.schedulers.base import Scheduler
from search.schedulers.promotion_asha import PromotionASHA
from search.searchers.base import Searcher
from search.searchers.random_search import RandomSearch
from spaces.catalogue import make_space
from tests.course import SCORE_KEYS
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE
from trainable.worker.ray_trainable import report_keys

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
SMOKE = make_space("smoke", default_run(EncoderConfig(), SampleData(), 0, Multitask()))


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """As a search does at its start."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def real_script() -> None:
    """Let pages have the script of their charts, which takes seconds to make."""


@pytest.fixture(autouse=True)
def _no_script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the script of the charts out of pages, but where a test asks for it."""
    if "real_script" not in request.fixturenames:
        for module in ("write_page", "live_page"):
            monkeypatch.setattr(f"search.report.page.{module}.vega_script", lambda: "/* charts */")


@pytest.fixture(scope="session")
def _plans(tmp_path_factory: pytest.TempPathFactory) -> Callable[[SearchOptions], Plan]:
    """Plans are made once for the same options: each reads the data."""
    known: dict[SearchOptions, Plan] = {}

    def get(options: SearchOptions) -> Plan:
        if options not in known:
            unused = str(tmp_path_factory.getbasetemp() / "unused")
            known[options] = make_plan(replace(options, storage=unused, dry_run=True))
        return known[options]

    return get


@pytest.fixture
def plan_of(_plans: Callable[[SearchOptions], Plan], tmp_path: Path) -> MakePlan:
    """Return a function from options to a plan whose folder is this test's own."""

    def make(**options: Any) -> Plan:
        asked = SearchOptions(**{"name": "search", "budget": "90000", "units": 9, **options})
        plan = _plans(asked)
        folder = replace(plan.folder, storage=str(tmp_path), local=tmp_path / plan.folder.name)
        folder.make()
        return replace(plan, options=replace(asked, storage=str(tmp_path)), folder=folder)

    return make


@pytest.fixture
def trial_of() -> MakeTrial:
    """Return a function that makes the record of a trial with params drawn at random."""

    def make(
        plan: Plan,
        number: int,
        scores: dict[int, float],
        status: Status = "done",
        error: str | None = None,
    ) -> TrialRecord:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
        asked = study.ask()
        config = plan.space.suggest(asked)
        start = 1_000_000.0 + 60 * number
        record = TrialRecord(number, asked.params, config.to_dict(), start, start + 30)
        record.reports = {unit: numbers(unit, score) for unit, score in scores.items()}
        record.reported = {unit: start + unit for unit in scores}
        record.status, record.error = status, error
        return record

    return make


def numbers(unit: int, score: float) -> dict[str, float | None]:
    """Return what a trial reports, as the log has it: None for what is not known."""
    known = {**dict.fromkeys(SCORE_KEYS, score), "unit": unit, "tokens": 1000 * unit}
    seconds = dict.fromkeys(("train_seconds", "eval_seconds", "start_seconds", "save_seconds"), 1.0)
    reported: dict[str, float | None] = {**dict.fromkeys(report_keys(COURSE)), **known, **seconds}
    if unit == 9:
        reported |= {f"confirm_{key}": score - 0.01 for key in SCORE_KEYS}
    assert not any(isinstance(v, float) and math.isnan(v) for v in reported.values())
    return reported


class MemoryLog:
    """Keeps events as reading the log would give them.

    Args:
        events: What an earlier driver wrote.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def append(self, event: Event) -> None:
        self.events.append(json.loads(json.dumps(event)))


Outcome = Callable[[int, int], float | str]


class Played:
    """A search whose jobs take no time: the real dispatcher, scheduler, searcher and journal.

    Attributes:
        log: All events.
        trained: (trial, unit) -> how often this driver trained it.

    Args:
        outcome: Trial and unit -> score, or what the run fails with.
        earlier: Events of an earlier driver.
        n_trials: Trials of the search; more than the earlier driver had extend it.
        scheduler: Made from a history; PromotionASHA without it.
        searcher: RandomSearch without it.
        lost: Whether the worker is lost in this unit, asked anew for each attempt: `lost` before it
            reports, `unsaved` after that and before the checkpoint is there, or empty. `leaves`: it
            has notice of that, and leaves in the middle of the unit.
        first: Origin of the first trial. The default is never paused or stopped at a rung.
        audit: Share of the trials that a rung stops that run on to their end.
    """

    def __init__(
        self,
        outcome: Outcome,
        earlier: Iterable[Event] = (),
        *,
        n_trials: int = 6,
        units: int = 4,
        eta: int = 2,
        brackets: int = 1,
        scheduler: Callable[[History], Scheduler] | None = None,
        searcher: Searcher | None = None,
        lost: Callable[[int, int], str] = lambda number, unit: "",
        first: str = "default",
        audit: float = 0.0,
    ) -> None:
        self.outcome, self.lost, self.units = outcome, lost, units
        self.log, self.trained = MemoryLog(earlier), Counter[tuple[int, int]]()
        self.journal = Journal(History(self.log.events), self.log)  # type: ignore[arg-type]
        self.history = self.journal.history
        if not self.history.header:
            kind = "promotion-asha" if scheduler is None else "asha"
            options = {"scheduler": kind, "audit": audit, "seed": 0}
            begin = {"version": VERSION, "units": units, "options": options, "slots": 1}
            self.journal.write("search", n_trials=n_trials, **begin)
        elif n_trials != self.history.n_trials:
            self.journal.write("resumed", n_trials=n_trials, options={}, slots=1)
        asha = PromotionASHA(self.history, units, eta, n_trials, brackets, 0)
        self.dispatcher = Dispatcher(
            self.journal,
            asha if scheduler is None else scheduler(self.history),
            searcher or RandomSearch(SMOKE, 0),
            SMOKE,
            [(SMOKE.params_of(SMOKE.base), first)],
            units,
            clock=lambda: float(len(self.log.events)),
        )
        self._at: dict[str, int] = {}
        self._n_jobs = 0

    def play(self, places: int = 1, order: int = 0) -> Played:
        """Run to the end on so many places, in an order drawn at random from this seed."""
        self.dispatcher.settle()
        draw = random.Random(order)
        for _ in range(10_000):
            if len(self._at) < places and (not self._at or draw.random() < 0.7):
                self._begin()
            if self._at:
                self._unit(draw.choice(sorted(self._at)))
            elif self.dispatcher.is_finished:
                return self
        raise AssertionError("the search does not end")

    def _begin(self) -> None:
        self._n_jobs += 1
        id = f"job{len(self.log.events)}-{self._n_jobs}"
        job = self.dispatcher.next_job(id)
        if job is not None:
            self._at[id] = job.unit
            self.dispatcher.started(id)

    def _unit(self, id: str) -> None:
        number, unit = self.dispatcher.jobs[id].trial.number, self._at[id] + 1
        lost = self.lost(number, unit)
        if lost == "leaves":
            self._leave(id, unit - 1)
            return
        self._at[id] = unit
        self.trained[number, unit] += 1
        outcome = self.outcome(number, unit)
        failure = outcome if isinstance(outcome, str) else ""
        goes_on = False
        if lost != "lost":
            score = -1 / 3 if isinstance(outcome, str) else outcome
            goes_on = self.dispatcher.reported(id, unit, {"score": score}, failure)
            if not lost and not failure:
                self.dispatcher.saved(id, f"{id}/{unit}")
        if lost or not goes_on:
            del self._at[id]
            self.dispatcher.left(id, 1.0, 0.0, f"{lost}: no worker" if lost else None)

    def _leave(self, id: str, unit: int) -> None:
        del self._at[id]
        self.dispatcher.leaving(id, unit, "spot notice: terminate")
        self.dispatcher.saved(id, f"{id}/after {unit}")
        self.dispatcher.left(id, 1.0, 0.0, "NodeLeaving: the trial has left this machine")

    @property
    def found(self) -> list[tuple[Any, ...]]:
        """What a search comes to, whoever played it: all but times, ids and costs."""
        return [
            (
                trial.number,
                trial.params,
                trial.bracket,
                trial.decided,
                trial.promoted,
                trial.status,
                trial.error,
                {unit: metrics["score"] for unit, metrics in trial.reports.items()},
            )
            for trial in self.history.trials.values()
        ]


@pytest.fixture(scope="session")
def played() -> type[Played]:
    """The class of a search that is played."""
    return Played


def drawn(seed: int, p_failure: float = 0.0, p_nan: float = 0.0) -> Outcome:
    """Return outcomes drawn at random, the same for the same trial and unit."""

    def outcome(number: int, unit: int) -> float | str:
        draw = random.Random(f"{seed} {number} {unit}")
        kind = draw.random()
        if kind < p_failure:
            return f"RunFailed: the loss is nan in unit {unit}"
        return math.nan if kind < p_failure + p_nan else round(draw.random(), 2)

    return outcome


@pytest.fixture(scope="session")
def outcomes() -> Callable[..., Outcome]:
    """Return a function from a seed to outcomes drawn at random."""
    return drawn
