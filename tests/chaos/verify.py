"""What must hold of a search whatever happened to it, and the figures that say so."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.log.events import Event
from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.algorithms import make_scheduler, make_searcher
from search.planning.audit_share import audit_share
from search.planning.plan import Plan
from search.schedulers.base import Decision
from search.searchers.base import Suggestion

_ENDED = ("done", "stopped", "failed")
# Of machines and drivers, not of the search: they may differ between two searches alike.
_OF_MACHINES = (
    *("search", "resumed", "forecast", "places", "started", "failed", "leaving", "cost", "closed"),
)
_OF_FILES = ("saved", "deleted", "lost", "compared")  # the last needs predictions
_IRRELEVANT = ("time", "path", "id")


@dataclass(frozen=True)
class Figures:
    """What became of a search.

    Attributes:
        trials: That it began.
        lost: Trials that did not end, or failed for no fault of their own.
        suggested_twice: Trials of which the log has two suggestions, or params that two have.
        overlapping: Jobs of a trial that began while it held another slot.
        units: Units that were trained, all together.
        repeated: Those of them that were trained again.
        most_repeated: Of one trial, after one of its starts.
    """

    trials: int
    lost: int
    suggested_twice: int
    overlapping: int
    units: int
    repeated: int
    most_repeated: int

    @property
    def is_good(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.lost or self.suggested_twice or self.overlapping or self.most_repeated > 1)


def figures(
    events: Sequence[Event], units: Sequence[dict[str, Any]], own_failures: str = "RunFailed"
) -> Figures:
    """Count what must not happen.

    Args:
        events: The log.
        units: What stubs did; see `tests.chaos.stub.units`.
        own_failures: How errors begin that belong to trials.
    """
    trials = History(events).trials.values()
    lost = [
        t
        for t in trials
        if t.status not in _ENDED
        or (t.status == "failed" and not str(t.error).startswith(own_failures))
    ]
    suggested = [event for event in events if event["event"] == "suggested"]
    numbers = Counter(event["trial"] for event in suggested)
    params = Counter(json.dumps(event["params"], sort_keys=True) for event in suggested)
    twice = sum(n - 1 for n in numbers.values()) or sum(n - 1 for n in params.values())
    again = repeated(units)
    return Figures(
        trials=len(trials),
        lost=len(lost),
        suggested_twice=twice,
        overlapping=_overlapping(events),
        units=sum(line["what"] == "begun" for line in units),
        repeated=sum(again.values()),
        most_repeated=max(again.values(), default=0),
    )


def _overlapping(events: Sequence[Event]) -> int:
    holding: set[int] = set()
    n = 0
    for event in events:
        if event["event"] == "resumed":
            holding.clear()
        elif event["event"] == "started":
            n += event["trial"] in holding
            holding.add(event["trial"])
        elif event["event"] == "cost":
            holding.remove(event["trial"])
    return n


def repeated(units: Sequence[dict[str, Any]]) -> dict[tuple[int, int], int]:
    """Return (trial, number of its start) -> units trained again after that start.

    A unit counts that was begun before, also if it was not finished. After a fault, a trial may
    have to repeat one: the one that was under way, or whose checkpoint came too late.
    """
    begun: dict[int, set[int]] = defaultdict(set)
    starts: Counter[int] = Counter()
    found: Counter[tuple[int, int]] = Counter()
    for line in units:
        trial, unit = line["trial"], line["unit"]
        if line["what"] == "start":
            starts[trial] += 1
        elif line["what"] == "begun":
            found[trial, starts[trial]] += unit in begun[trial]
            begun[trial].add(unit)
    return dict(found)


def orphans(events: Sequence[Event], folder: Path) -> int:
    """Return how many checkpoints are in the folder of a search that its log does not name."""
    trials = History(events).trials.values()
    known = {path for trial in trials for path in trial.checkpoints.values()}
    there = {str(path.relative_to(folder)) for path in folder.glob("trial_*/checkpoint_*")}
    return len(there - known)


def essence(events: Sequence[Event]) -> list[Event]:
    """Return what a search decided and why, without what depends on machines, files and time."""
    return [
        _essence(event)
        for event in events
        if event["event"] not in (*_OF_MACHINES, *_OF_FILES) and not _is_interruption(event)
    ]


def _essence(event: Event) -> Event:
    kept = {key: value for key, value in event.items() if key not in _IRRELEVANT}
    if "metrics" in kept:
        metrics = kept["metrics"].items()
        kept["metrics"] = {k: v for k, v in metrics if not k.endswith("_seconds")}
    return kept


def _is_interruption(event: Event) -> bool:
    return bool(event["event"] == "ended" and event["status"] == "interrupted")


def differences(expected: Sequence[Event], found: Sequence[Event]) -> list[str]:
    """Compare two logs event by event; returns what differs first, or nothing."""
    one, other = essence(expected), essence(found)
    for k, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return [f"event {k}: expected {_short(a)}, found {_short(b)}"]
    if len(one) != len(other):
        longer = one if len(one) > len(other) else other
        k = min(len(one), len(other))
        return [f"{len(one)} events expected, {len(other)} found; the next is {_short(longer[k])}"]
    return []


def _short(event: Event) -> str:
    return json.dumps({k: v for k, v in event.items() if k not in ("run_config", "metrics")})


def replay(events: Sequence[Event], plan: Plan) -> list[str]:
    """Let a searcher and a scheduler that were never interrupted decide on the reports of a log.

    Everything comes in the order of the log, so that this holds for any number of slots.

    Returns:
        What they decide differently; of suggestions, what the log should have held.
    """
    judge, wrong = _Judge(plan), []
    for event in events:
        expected, complaint = judge.look(event)
        found = {key: event.get(key) for key in expected or {}}
        if expected is None or found != expected:
            wrong.append(f"{event['event']}: expected {expected}, found {found or _short(event)}")
        if complaint:
            wrong.append(complaint)
        judge.history.apply(event)
    return wrong


class _Judge:
    """Says of each event what the dispatcher should have written in its place."""

    def __init__(self, plan: Plan) -> None:
        self.history = History()
        self._scheduler = make_scheduler(plan.options, plan.n_trials, self.history)
        self._searcher = make_searcher(plan.options, plan.space, plan.n_trials, plan.rungs)
        self._points, self._unpromotable = plan.points, set[int]()
        self._options = plan.options

    def look(self, event: Event) -> tuple[dict[str, Any] | None, str]:
        """Return fields that the event must have, None if it must not be; and what is missing."""
        kind = event["event"]
        if kind == "suggested":
            missed = self._missed(event, with_promotion=True)
            return self._suggested(event["trial"]), missed
        if kind == "promoted":
            missed = self._missed(event, with_promotion=False)
            return self._promoted(), missed
        if kind == "decided":
            decision = self._scheduler.decide(self.history.trials[event["trial"]], event["unit"])
            return _fields(decision) | {"decision": decision.action} if decision else None, ""
        if kind == "stopped":
            return self._stopped(event), ""
        if kind == "audited":
            return self._audited(event), ""
        return {}, ""

    def _missed(self, event: Event, *, with_promotion: bool) -> str:
        """Before anything begins, the unpromotable are stopped, and who may go on does."""
        self._unpromotable |= {trial.number for trial in self._scheduler.unpromotable()}
        if self._unpromotable:
            return f"trials {self._unpromotable} should have been stopped before {_short(event)}"
        if with_promotion and self._scheduler.next_promotion(draining=False) is not None:
            return f"trial {event['trial']} was begun although another could be promoted"
        return ""

    def _suggested(self, number: int) -> dict[str, Any]:
        bracket = self._scheduler.bracket(number)
        expected = {"trial": len(self.history.trials), "bracket": bracket}
        if number < len(self._points):
            params, origin = self._points[number]
            return {**expected, "params": params, "origin": origin}
        suggestion = self._searcher.suggest(number, self.history)
        assert isinstance(suggestion, Suggestion)
        return {**expected, "params": suggestion.params, "origin": suggestion.origin}

    def _promoted(self) -> dict[str, Any] | None:
        promotion = self._scheduler.next_promotion(draining=False)
        busy = any(trial.is_open for trial in self.history.trials.values())
        if promotion is None and not busy:
            promotion = self._scheduler.next_promotion(draining=True)
        if promotion is None:
            return None
        trial, unit, decision = promotion
        return {"trial": trial.number, "unit": unit, **_fields(decision)}

    def _is_drawn(self, trial: TrialRecord) -> bool:
        share = audit_share(vars(self._options))
        draw = random.Random(f"{self._options.seed} audit {trial.number}").random()
        return draw < share and math.isfinite(trial.score)

    def _audited(self, event: Event) -> dict[str, Any] | None:
        trial = self.history.trials[event["trial"]]
        if not self._is_drawn(trial):
            return None
        self._unpromotable |= {own.number for own in self._scheduler.unpromotable()}
        self._unpromotable.discard(trial.number)
        return {"unit": max(trial.decided)}

    def _stopped(self, event: Event) -> dict[str, Any] | None:
        trial, reason = self.history.trials[event["trial"]], event["reason"]
        if self._is_drawn(trial):
            return None
        if reason == "the scheduler gave it up":
            return {} if trial.decided.get(event["unit"]) == "stop" else None
        if reason == "nothing can be promoted any more":
            done = self._scheduler.next_promotion(draining=True) is None
            return {} if done and trial.status == "paused" else None
        self._unpromotable |= {trial.number for trial in self._scheduler.unpromotable()}
        if trial.number not in self._unpromotable:
            return None
        self._unpromotable.remove(trial.number)
        return {}


def _fields(decision: Decision) -> dict[str, Any]:
    return {"rank": decision.rank, "among": decision.among}
