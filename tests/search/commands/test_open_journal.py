"""How a driver begins a log, or goes on with one; it may be killed at any moment of that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import search.commands.open_journal
import search.log.events
from search.cluster.slots import Resources
from search.commands.open_journal import open_journal
from search.log.events import read_events
from search.log.find_folder import find_folder
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.plan import Plan
from trainable.run_config import RunConfig

MakePlan = Callable[..., Plan]
RESOURCES = Resources(1.0, 0.0, 1)
CARRIED = tuple(
    {"params": {"n": n}, "run_config": RunConfig().to_dict(), "reports": {}, "status": "failed"}
    for n in range(3)
)


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> bool:
    """Open a journal, and be killed at an event that is made or synced; False if it ends before."""
    n_steps = 0

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal n_steps
            if n_steps == step:
                raise Killed
            n_steps += 1
            return function(*given, **named)

        return call

    with monkeypatch.context() as patched:
        for module in (search.commands.open_journal, search.log.history):
            patched.setattr(module, "new_event", before(search.log.events.new_event))
        patched.setattr(os, "fsync", before(os.fsync))
        try:
            _, log = open_journal(plan, RESOURCES)
        except Killed:
            return True
    log.close()
    return False


def test_a_log_has_all_that_is_carried_over_or_does_not_exist(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, is_killed = 0, True
    while is_killed:
        plan = replace(plan_of(space="smoke", name=f"killed{step}"), carried=CARRIED)
        is_killed = killed_at(step, monkeypatch, plan)
        path = plan.folder.local / EVENTS
        if path.exists():
            found = History(read_events(path)).imported
            assert [trial.params for trial in found] == [{"n": 0}, {"n": 1}, {"n": 2}]
        else:  # so the same command begins anew
            assert find_folder(plan.folder.storage, plan.folder.name, resume=False) == plan.folder
            open_journal(plan, RESOURCES)[1].close()
            assert len(History(read_events(path)).imported) == 3
        step += 1
    assert step > len(CARRIED) + 1


def test_what_the_driver_knows_at_the_start_is_what_the_log_says(plan_of: MakePlan) -> None:
    plan = replace(plan_of(space="smoke"), carried=CARRIED)
    path = plan.folder.local / EVENTS
    journal, log = open_journal(plan, RESOURCES)
    log.close()
    again = History(read_events(path))
    assert (journal.history.header, journal.history.imported) == (again.header, again.imported)
    assert journal.history.n_trials == again.n_trials == plan.n_trials
    later = replace(plan, options=replace(plan.options, resume=True), earlier=again, carried=())
    journal, log = open_journal(later, RESOURCES)
    log.close()
    assert [event["event"] for event in read_events(path)] == [
        "search",
        *["imported"] * 3,
        "resumed",
    ]
    assert len(journal.history.imported) == 3
