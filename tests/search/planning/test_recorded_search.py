from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.log.events import EventLog
from search.planning.plan import Plan
from search.planning.recorded_search import recorded_search
from tests.search.log_lines import event, suggested


@pytest.fixture
def record(plan_of: Callable[..., Plan], tmp_path: Path) -> Callable[..., Plan]:
    """Return a function that records a search in the storage of the plan that it returns."""
    plan = plan_of(space="smoke")

    def make(name: str, seconds: float, is_closed: bool = True, **changed: Any) -> Plan:
        options = {"encoder": plan.options.encoder, "precision": plan.options.precision}
        first = {"version": 2, "n_trials": 2, "units": 9, "cpus": 1.0, "gpus": 0.0}
        first |= {"data_fingerprint": plan.data_fingerprint, "options": options} | changed
        folder = tmp_path / name
        folder.mkdir()
        log = EventLog(folder / "events.jsonl")
        log.append(event("search", **first))
        tokens = plan.budget / 9
        for number in range(2):
            log.append(suggested(number) | {"origin": "random" if number else "default"})
            metrics = {"train_seconds": seconds, "eval_seconds": 0.0, "tokens": tokens}
            log.append(event("reported", 9.0, trial=number, unit=1, metrics=metrics, failure=""))
        if is_closed:
            log.append(event("closed", reason=""))
        log.close()
        os.utime(folder / "events.jsonl", (seconds, seconds))  # the slower, the newer
        return plan

    return make


def test_the_newest_search_like_this_one_is_found(record: Callable[..., Plan]) -> None:
    for name, seconds in (("old", 10.0), ("new", 20.0)):
        plan = record(name, seconds)
    known = recorded_search(plan, 1.0, 0.0)
    assert known is not None
    assert known.source == "search new"


@pytest.mark.parametrize(
    "changed",
    [
        {"is_closed": False},
        {"cpus": 2.0},
        {"gpus": 1.0},
        {"data_fingerprint": "other"},
        {"options": {"encoder": "other", "precision": "fp32"}},
        {"version": 1},
    ],
)
def test_others_are_passed_over(record: Callable[..., Plan], changed: dict[str, Any]) -> None:
    assert recorded_search(record("other", 10.0, **changed), 1.0, 0.0) is None


def test_a_log_that_cannot_be_read_says_nothing(
    record: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = record("good", 10.0)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "events.jsonl").write_bytes(b"\x00\x01")
    known = recorded_search(plan, 1.0, 0.0)
    assert known is not None
    assert known.source == "search good"
