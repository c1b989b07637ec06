"""A search without Ray: the project's dispatcher, and slots that answer at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from search.log.checkpoints import Checkpoints
from search.log.events import Event
from search.log.history import History, Journal
from search.log.mirror import Mirror
from search.log.trial import TrialRecord
from search.loop.make_dispatcher import make_dispatcher
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.tensorboard import TensorBoard
from tests.chaos.stub import Faults, report_of

_ids = count()


class Killed(Exception):
    """The driver was killed."""


class Tape:
    """An event log in memory that kills the driver instead of writing one event too many.

    Args:
        events: What earlier drivers wrote.
        room: Events that this driver may write; None for all.
    """

    def __init__(self, events: list[Event], room: int | None) -> None:
        self.events = events
        self._last = None if room is None else len(events) + room

    def append(self, event: Event) -> None:
        """Write one event."""
        if len(self.events) == self._last:
            raise Killed
        self.events.append(event)


@dataclass
class _Slot:
    """What a slot trains: a job, and the unit that it is at.

    A report is there, and decided on, before its checkpoint is: other slots do things in between.
    """

    id: str
    unit: int
    is_saving: bool = False
    goes_on: bool = True


def simulate(
    plan: Plan,
    faults: Faults,
    n_slots: int = 1,
    seed: int = 0,
    earlier: list[Event] | None = None,
    room: int | None = None,
) -> list[Event]:
    """Run a search, or go on with one, until it is finished or its driver is killed.

    Args:
        plan: The search.
        faults: What trials report.
        n_slots: Trials at a time.
        seed: Of which slot reports next.
        earlier: What killed drivers wrote, but for the first event; None to begin.
        room: Kill the driver when it has written so many events.

    Returns:
        All events.
    """
    tape = Tape([] if earlier is None else list(earlier), room)
    history = History(tape.events)
    journal = Journal(history, tape)  # type: ignore[arg-type]
    try:
        if earlier is None:
            journal.write("search", slots=n_slots, **header(plan))
        else:
            journal.write("resumed", slots=n_slots, options={}, n_trials=plan.n_trials)
        run(plan, journal, faults, n_slots, random.Random(seed))
    except Killed:
        pass
    return tape.events


def run(
    plan: Plan,
    journal: Journal,
    faults: Faults,
    n_slots: int,
    draw: random.Random,
    tensorboard: TensorBoard | None = None,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Run jobs until the search is finished.

    Args:
        plan: The search.
        journal: What an earlier driver left, and the log.
        faults: What trials report.
        n_slots: Trials at a time.
        draw: Which slot reports next.
        tensorboard: Where to write curves, if anywhere.
        look: Called after every job that is handed out.
    """
    dispatcher = make_dispatcher(plan, journal)
    checkpoints = Checkpoints(journal, plan.folder, Mirror(plan.folder))
    dispatcher.on_saved, dispatcher.on_closed = checkpoints.saved, checkpoints.closed
    if tensorboard:
        tensorboard.write_all(journal.history)
        dispatcher.on_started = dispatcher.on_reported = tensorboard.write

        def closed(trial: TrialRecord) -> None:
            tensorboard.write(trial)
            checkpoints.closed(trial)

        dispatcher.on_closed = closed
    dispatcher.settle()
    slots: list[_Slot] = []
    while True:
        while len(slots) < n_slots:
            id = f"job {next(_ids)}"
            job = dispatcher.next_job(id)
            if job is not None:
                slots.append(_Slot(id, max(job.trial.checkpoints, default=0)))
                dispatcher.started(id)
                look()
            elif slots or dispatcher.is_finished:
                break
        if not slots:
            return
        slot = draw.choice(slots)
        job = dispatcher.jobs[slot.id]
        if not slot.is_saving:
            slot.unit += 1
            slot.is_saving = True
            report: dict[str, Any] = report_of(faults, job.trial.run_config, slot.unit)
            failure = report.pop("failure")
            slot.goes_on = dispatcher.reported(slot.id, slot.unit, report, failure)
            continue
        slot.is_saving = False
        if not job.failure:
            dispatcher.saved(slot.id, f"trial_{job.trial.number}/{slot.id} {slot.unit}")
        if not slot.goes_on:
            slots.remove(slot)
            dispatcher.left(slot.id, 1.0, 0.0)
