"""Plans and trial records made by hand, without Ray."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.options import SearchOptions
from search.plan import Plan, make_plan
from search.results import Status, TrialRecord
from trainable.evaluation import SCORE_KEYS
from trainable.ray_trainable import NUMBERS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """As a search does at its start."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


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
        record = TrialRecord(number, f"id{number}", asked.params, config, start, start + 30)
        record.reports = {unit: numbers(unit, score) for unit, score in scores.items()}
        record.status, record.error = status, error
        return record

    return make


def numbers(unit: int, score: float) -> dict[str, float | None]:
    """Return what a trial reports, as the log has it: None for what is not known."""
    known = {**dict.fromkeys(SCORE_KEYS, score), "unit": unit, "tokens": 1000 * unit}
    seconds = dict.fromkeys(("train_seconds", "eval_seconds", "start_seconds", "save_seconds"), 1.0)
    reported: dict[str, float | None] = {**dict.fromkeys(NUMBERS), **known, **seconds}
    if unit == 9:
        reported |= {f"confirm_{key}": score - 0.01 for key in SCORE_KEYS}
    assert not any(isinstance(v, float) and math.isnan(v) for v in reported.values())
    return reported
