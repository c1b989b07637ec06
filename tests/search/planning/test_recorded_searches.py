from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.log.events import begin_log, new_event
from search.log.folder import EVENTS
from search.planning.plan import Plan
from search.planning.recorded_searches import from_earlier_search
from search.planning.resume import header
from search.planning.unit_cost import UnitCost

MakePlan = Callable[..., Plan]
SLOTS = {"slots": 2, "cpus": 1.0, "gpus": 0.0}


def recorded(plan: Plan, name: str, **changed: Any) -> None:
    """Write the log of a search with one unit of 1,000 tokens in ten seconds."""
    folder = Path(plan.folder.storage) / name
    folder.mkdir()
    metrics = {"score": 0.5, "tokens": 1000.0, "train_seconds": 10.0, "eval_seconds": 2.0}
    suggested = {"params": {}, "run_config": {}, "bracket": 0, "origin": "default"}
    events = [
        new_event("search", **{**SLOTS, **header(plan), **changed}),
        new_event("suggested", trial=0, **suggested),
        new_event("reported", trial=0, unit=1, metrics=metrics, failure=""),
    ]
    begin_log(folder / EVENTS, events)


def test_the_newest_search_like_this_one_is_found(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    assert from_earlier_search(plan, SLOTS) is None
    recorded(plan, "first")
    found = UnitCost(100.0, 2.0, 2.0, 0.0, 0.0)
    assert from_earlier_search(plan, SLOTS) == (found, "search first")


def test_other_searches_say_nothing(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    recorded(plan, "data", data_fingerprint="0ther")
    recorded(plan, "slots", cpus=4.0)
    recorded(plan, "encoder", options=asdict(plan.options) | {"encoder": "bert"})
    (Path(plan.folder.storage) / "torn").mkdir()
    (Path(plan.folder.storage) / "torn" / EVENTS).write_bytes(b"no event")
    assert from_earlier_search(plan, SLOTS) is None
