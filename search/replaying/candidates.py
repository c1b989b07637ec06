"""Which schedulers a replay compares, and one search with one of them on known curves."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from search.log.events import VERSION
from search.log.history import History, Journal
from search.log.trial import Metrics, TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.algorithms import make_scheduler
from search.planning.options import SearchOptions
from search.replaying.simulated_slots import SimulatedSlots, about_one_second
from search.schedulers.rungs import rungs
from search.searchers.base import Suggestion

_ETAS = (2, 3, 4)
_SCHEDULERS: tuple[Literal["promotion-asha", "asha"], ...] = ("promotion-asha", "asha")


@dataclass(frozen=True)
class Candidate:
    """Options of a search that decide which trials go on.

    Attributes:
        scheduler: As on the command line.
        eta: One in eta trials passes a rung.
        units: Reports of a full run: fewer of them begin with a later rung.
    """

    scheduler: Literal["promotion-asha", "asha", "none"]
    eta: int
    units: int

    def __str__(self) -> str:
        if self.scheduler == "none":
            return "none"
        return f"{self.scheduler} --eta {self.eta} --units {self.units}"


def candidates(own: Candidate) -> list[Candidate]:
    """Return what is compared: first what the search ran with, `none` last.

    Units are those of the search, and a third or a half of them, if they can be put together: then
    the first rung comes later.
    """
    later = next((own.units // k for k in (3, 2) if own.units % k == 0 and own.units > k), None)
    able = [
        Candidate(scheduler, eta, units)
        for units in (own.units, *([later] if later else []))
        for scheduler in _SCHEDULERS
        for eta in _ETAS
        if len(rungs(units, eta)) > 1
    ]
    return list(dict.fromkeys([own, *able, Candidate("none", own.eta, own.units)]))


@dataclass(frozen=True)
class Recording:
    """What a replay needs of a search.

    Attributes:
        trials: Those that reported something, in the order in which they were suggested.
        units: Reports of a full run.
        slots: Trials at a time.
        spent: Units that the search trained.
    """

    trials: list[TrialRecord]
    units: int
    slots: int
    spent: int


@dataclass(frozen=True)
class Leader:
    """Who led a replayed search when some of the budget was spent.

    Attributes:
        number: Number of its trial in the recorded search.
        score: Of its full run.
    """

    number: int
    score: float


@dataclass(frozen=True)
class Outcome:
    """A replayed search.

    Attributes:
        spent: Units that it trained, at most those of the recorded search.
        half: Who led after half of what the recorded search spent.
        whole: Who led after all of it, or at the end.
    """

    spent: int
    half: Leader
    whole: Leader


class _InOrder:
    """A searcher that suggests recorded configurations in a given order."""

    def __init__(self, trials: Sequence[TrialRecord]) -> None:
        self._trials = trials

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return the next configuration, or None at the end."""
        if number >= len(self._trials):
            return None
        own = self._trials[number]
        return Suggestion(own.params, own.origin, own.config)


def replay(
    candidate: Candidate,
    recording: Recording,
    order: Sequence[TrialRecord],
    curves: Mapping[int, Sequence[float]],
    seed: int,
) -> Outcome:
    """Run a search with the project's own scheduler and dispatcher on complete curves.

    Args:
        candidate: Which scheduler.
        recording: The recorded search.
        order: Its trials, in the order in which they are suggested now.
        curves: Number of a trial -> its score after each unit; a failed trial fails after the last.
        seed: Of the times that units take.
    """
    n, every = len(order), recording.units // candidate.units
    options = SearchOptions(
        scheduler=candidate.scheduler, eta=candidate.eta, units=candidate.units, audit=0.0
    )
    journal = Journal(History())
    known = {"scheduler": candidate.scheduler, "audit": 0.0}
    journal.write(
        "search", version=VERSION, options=known, n_trials=n, units=candidate.units, slots=1
    )
    history = journal.history
    scheduler = make_scheduler(options, n, history)
    space: Any = None  # every configuration is recorded
    dispatcher = Dispatcher(journal, scheduler, _InOrder(order), space, [], candidate.units)

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        own = order[trial.number]
        return _report(own, curves[own.number], unit * every)

    def leader() -> Leader:
        best = history.best
        if best is None:
            return Leader(-1, math.nan)
        number = order[best.number].number
        return Leader(number, curves[number][-1])

    spent, half = 0, None
    slots = SimulatedSlots(recording.slots, about_one_second(random.Random(f"times {seed}")))
    for _ in slots.play(dispatcher, report_of):
        spent += every
        if half is None and 2 * spent >= recording.spent:
            half = leader()
        if spent >= recording.spent:
            break
    whole = leader()
    return Outcome(spent, half or whole, whole)


def _report(own: TrialRecord, curve: Sequence[float], unit: int) -> tuple[Metrics, str]:
    if unit > len(curve):
        return {"score": None}, own.error or "it failed in the recorded search"
    score = curve[unit - 1]
    metrics = own.reports[max(known for known in own.reports if known <= unit)]
    failure = "" if math.isfinite(score) else "its score is no number"
    return {**metrics, "score": score if not failure else None}, failure
