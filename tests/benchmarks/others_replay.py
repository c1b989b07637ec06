"""Replay one search on a table of configurations that others trained."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search.log.history import History, Journal
from search.log.leaderboard import leaderboard
from search.loop.dispatcher import Dispatcher
from search.planning.algorithms import make_scheduler, make_searcher
from search.planning.own_priors import prior_of
from search.planning.own_space import NO_PRIORS
from search.planning.plan import Plan, Point
from search.planning.resume import header
from search.planning.warm_start import N_FIRST
from search.searchers.base import Params, Searcher, Suggestion, params_key
from search.searchers.gp.searcher import RungGp
from spaces.distributions import suggest_value
from spaces.params import Param
from spaces.space import Space
from tests.benchmarks.curve import UNITS, Curve
from tests.benchmarks.others_tables import CurveTable, portfolio
from tests.benchmarks.real_contestants import no_model
from tests.benchmarks.replay import any_plan, n_trials, run_slots
from tests.benchmarks.transferred_mean import PredictedRanks, TransferredMean
from trainable.component import Value
from trainable.run_config import RunConfig

_SLOTS = 2
_N_DEFAULTS = 5  # configurations near the textbook's, one of which is the default of a repeat
_N_PORTFOLIO = 4
_SHARE = 3  # at most one in three trials is of the portfolio, or the best of another search
_SOURCE = "ours, default, prior"  # the contestant that searches on another table
_N_SOURCE = 8  # full runs that it has
_OTHER = 1_000  # is added to its seeds


@dataclass(frozen=True)
class Contestant:
    """How to search.

    Attributes:
        searcher: As on the command line.
        scheduler: As on the command line.
        default: What the first trial is: `good`, `bad`, or nothing in particular.
        has_prior: Whether the searcher looks near the default first.
        known: What follows the default: a `portfolio` that is good on the other tables, the best of
            a `search` on one of these, as many draws (`chance`), or nothing.
        has_model: Whether a model compares what the searcher proposes.
    """

    searcher: str
    scheduler: str
    default: str = ""
    has_prior: bool = False
    known: str = ""
    has_model: bool = True

    def takes_part(self, table: CurveTable, tables: list[CurveTable]) -> bool:
        """Whether the table has what it needs: others with the same configurations."""
        others = [own for own in tables if own is not table and own.configs == table.configs]
        return bool(others) or self.known in ("", "chance")


CONTESTANTS = {
    "random, full runs": Contestant("random", "none"),
    "random + asha": Contestant("random", "asha"),
    "default, tpe + asha (stock)": Contestant("tpe", "asha", "good"),
    "ours, flat": Contestant("rung-gp", "promotion-asha"),
    "ours, default": Contestant("rung-gp", "promotion-asha", "good"),
    "ours, default, prior": Contestant("rung-gp", "promotion-asha", "good", True),
    "ours, default, prior, portfolio": Contestant(
        "rung-gp", "promotion-asha", "good", True, "portfolio"
    ),
    "ours, default, prior, portfolio, no model": Contestant(
        "rung-gp", "promotion-asha", "good", True, "portfolio", has_model=False
    ),
    "ours, default, prior, best of a search": Contestant(
        "rung-gp", "promotion-asha", "good", True, "search"
    ),
    "ours, default, prior, best of a useless search": Contestant(
        "rung-gp", "promotion-asha", "good", True, "chance"
    ),
    "ours, default, prior, mean of a search": Contestant(
        "rung-gp", "promotion-asha", "good", True, "mean"
    ),
    "ours, misleading default": Contestant("rung-gp", "promotion-asha", "bad"),
    "ours, misleading default and prior": Contestant("rung-gp", "promotion-asha", "bad", True),
}


@dataclass(frozen=True)
class CurveSpace(Space):
    """A space whose params are those of a table; every RunConfig of it is the base.

    Searchers ask for `params()` and `config_of`, and Optuna calls the space. A prior asks for the
    params of the base, which are those of the default; its spreads are the usual ones.

    Attributes:
        own: The params.
        center: The values of the default.
    """

    own: tuple[Param, ...] = ()
    center: Params = field(default_factory=dict)

    def params(self) -> tuple[Param, ...]:
        """Return the params of the table."""
        return self.own

    def config_of(self, params: Mapping[str, Value]) -> RunConfig:
        """Return the base, because nothing is trained."""
        return self.base

    def params_of(self, config: RunConfig) -> Params:
        """Return the default, since all configurations are the base."""
        return dict(self.center)

    def values_under(self, kinds: Mapping[str, Value]) -> Params:
        """Return the default, because no param of a table depends on others."""
        return dict(self.center)

    def nearest(self, config: RunConfig) -> RunConfig:
        """Return the RunConfig as it is."""
        return config

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Ask an Optuna trial for every param."""
        for param in self.own:
            suggest_value(trial, param.name, param.domain)
        return {"run_config": self.base.to_dict()}


class Snapped:
    """Suggests the nearest configuration of a table that no trial has.

    Args:
        table: The configurations.
        make: Returns the searcher, given the number of a trial. A searcher that remembers what it
            suggested has to be made anew for each trial.
    """

    def __init__(self, table: CurveTable, make: Callable[[int], Searcher]) -> None:
        self._table, self._make = table, make
        self._row_of = {params_key(own): row for row, own in enumerate(table.configs)}

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return what the searcher suggests, moved to the nearest untried configuration."""
        found = self._make(number).suggest(number, history)
        if found is None or len(history.trials) >= len(self._table.configs):
            return None
        away = self._table.distances(found.params)
        away[[self._row_of[params_key(t.params)] for t in history.trials.values()]] = np.inf
        return replace(found, params=self._table.configs[int(away.argmin())])


class Replayer:
    """Replays searches on tables of one kind.

    Args:
        tables: A portfolio for one comes from the others.
    """

    def __init__(self, tables: list[CurveTable]) -> None:
        self._tables = tables
        with tempfile.TemporaryDirectory() as folder:
            self._plan = any_plan(folder)

    def regret(self, table: CurveTable, contestant: str, seed: int, budget: int) -> float:
        """Return the regret of a search's leader after a budget in full runs."""
        final, _ = self._search(table, CONTESTANTS[contestant], seed, budget * UNITS)
        return float(table.regrets.max() if np.isnan(final) else final)

    def _search(
        self, table: CurveTable, given: Contestant, seed: int, units: int
    ) -> tuple[float, History]:
        """Return the regret of a search's leader, or NaN if all trials failed, and its history."""
        plan = self._planned(table, given, seed, units)
        journal = Journal(History())
        journal.write("search", slots=_SLOTS, **header(plan))
        dispatcher = Dispatcher(
            journal,
            make_scheduler(plan.options, plan.n_trials, journal.history),
            self._searcher(plan, table, given, seed),
            plan.space,
            list(plan.points),
            UNITS,
        )
        rows = {params_key(own): row for row, own in enumerate(table.configs)}

        def curve_of(params: Params) -> Curve:
            row = rows[params_key(params)]
            return Curve(table.scores[row].tolist(), float(table.regrets[row]))

        times = random.Random(f"times {seed}")
        with nullcontext() if given.has_model else no_model():
            final = run_slots(dispatcher, curve_of, times, units, _SLOTS).final[-1]
        return final, journal.history

    def _planned(self, table: CurveTable, given: Contestant, seed: int, units: int) -> Plan:
        options = replace(
            self._plan.options,
            searcher=given.searcher,  # type: ignore[arg-type]
            scheduler=given.scheduler,  # type: ignore[arg-type]
            seed=seed,
            priors=None if given.has_prior else NO_PRIORS,
        )
        n = units // UNITS if given.scheduler == "none" else n_trials(self._plan, units)
        points = self._points(table, given, seed)
        center = points[0][0] if points else {}
        points = points[: 1 + n // _SHARE]
        space = CurveSpace(table.name, self._plan.space.base, (), own=table.params, center=center)
        return replace(
            self._plan, options=options, space=space, points=points, carried=(), n_trials=n
        )

    def _points(self, table: CurveTable, given: Contestant, seed: int) -> tuple[Point, ...]:
        draw = random.Random(f"default {seed}")
        if given.default == "good":
            near = np.argsort(table.distances(table.default), kind="stable")[:_N_DEFAULTS]
            rows = [int(draw.choice(near.tolist()))]
        elif given.default == "bad":
            worse = np.flatnonzero(table.regrets >= np.median(table.regrets))
            rows = [int(draw.choice(worse.tolist()))]
        else:
            rows = []
        others = [own for own in self._tables if own is not table]
        if given.known == "portfolio":
            rows += [row for row in portfolio(others, _N_PORTFOLIO) if row not in rows]
        elif given.known == "search":
            rows += [row for row in self._best_of_search(table, seed) if row not in rows]
        elif given.known == "chance":
            drawn = draw.sample(range(len(table.configs)), N_FIRST)
            rows += [row for row in drawn if row not in rows]
        names = ("default", *(f"{given.known} {k}" for k in range(1, len(rows))))
        return tuple((table.configs[row], name) for row, name in zip(rows, names, strict=False))

    def _searcher(self, plan: Plan, table: CurveTable, given: Contestant, seed: int) -> Snapped:
        if given.known != "mean":
            return _snapped(plan, table)
        ranks = self._ranks_in_search(table, seed)
        space = plan.space
        assert isinstance(space, Space)
        same = TransferredMean(ranks, space, seed, plan.rungs, prior=prior_of(plan.options, space))
        return Snapped(table, lambda number: same)

    def _ranks_in_search(self, table: CurveTable, seed: int) -> PredictedRanks:
        """Return what a model of another search says of any configuration."""
        source, history = self._other_search(table, seed)
        plan = self._planned(source, CONTESTANTS[_SOURCE], _OTHER + seed, _N_SOURCE * UNITS)
        assert isinstance(plan.space, Space)
        return PredictedRanks(RungGp(plan.space, seed, plan.rungs, min_results=1), history)

    def _best_of_search(self, table: CurveTable, seed: int) -> list[int]:
        """Return what `--warm-start` tries first, best first: rows of the best finished trials."""
        source, history = self._other_search(table, seed)
        rows = {params_key(own): row for row, own in enumerate(source.configs)}
        done = [own for own in leaderboard(history.trials.values()) if own.status == "done"]
        return [rows[params_key(own.params)] for own in done[:N_FIRST]]

    def _other_search(self, table: CurveTable, seed: int) -> tuple[CurveTable, History]:
        """Search on another table, with another default and other draws."""
        others = [own for own in self._tables if own is not table]
        source = others[seed % len(others)]
        given = CONTESTANTS[_SOURCE]
        _, history = self._search(source, given, _OTHER + seed, _N_SOURCE * UNITS)
        return source, history


def _snapped(plan: Plan, table: CurveTable) -> Snapped:
    def make(seed: int) -> Searcher:
        options = replace(plan.options, seed=seed)
        return make_searcher(options, plan.space, plan.n_trials, plan.rungs)

    if plan.options.searcher == "tpe":
        # It warns of every trial that failed, and of all of them whenever it is made anew.
        logging.getLogger("ray.tune.search.optuna.optuna_search").setLevel(logging.ERROR)
        return Snapped(table, lambda number: make(1000 * plan.options.seed + number))
    same = make(plan.options.seed)
    return Snapped(table, lambda number: same)
