"""What must hold of a search whatever happened to it, and the figures that say so."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.events import Event
from search.history import History
from search.plan import Plan
from search.proposals import Proposal
from search.searcher import make_proposer, make_scheduler

_ENDED = ("done", "stopped", "failed")
# Of machines and drivers, not of the search: they may differ between two searches alike.
_OF_MACHINES = ("search", "resumed", "started", "failed", "leaving", "cost", "closed")
_OF_FILES = ("saved", "deleted", "lost")
_IRRELEVANT = ("time", "path", "id")


@dataclass(frozen=True)
class Figures:
    """What became of a search.

    Attributes:
        trials: That it began.
        lost: Trials that did not end, or failed for no fault of their own.
        suggested_twice: Trials of which the log has two suggestions, or params that two have.
        overlapping: Legs of a trial that began while it held another place.
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

    Everything comes in the order of the log, so that this holds for any number of places.

    Returns:
        What they decide differently; of proposals, what the log should have held.
    """
    history = History()
    scheduler, proposer = make_scheduler(plan, history), make_proposer(plan)
    points, wrong = plan.points, []
    for event in events:
        kind = event["event"]
        expected: dict[str, Any] | None = None
        if kind == "suggested":
            number = event["trial"]
            if scheduler.next_promotion(draining=False) is not None:
                wrong.append(f"trial {number} was begun although another could be promoted")
            expected = {"trial": len(history.trials), "bracket": scheduler.bracket(number)}
            if number < len(points):
                expected |= {"params": points[number][0], "origin": points[number][1]}
            else:
                proposal = proposer.propose(number, history)
                assert isinstance(proposal, Proposal)
                expected |= {"params": proposal.params, "origin": proposal.origin}
        elif kind == "decided":
            trial = history.trials[event["trial"]]
            decision = scheduler.decide(trial, event["unit"])
            if decision is not None:
                expected = {"decision": decision.action}
                expected |= {"rank": decision.rank, "among": decision.among}
        elif kind == "promoted":
            promotion = scheduler.next_promotion(draining=True)
            if promotion is not None:
                trial, unit, decision = promotion
                expected = {"trial": trial.number, "unit": unit}
                expected |= {"rank": decision.rank, "among": decision.among}
        elif kind == "stopped":
            scheduler.hopeless()
        if kind in ("suggested", "decided", "promoted"):
            found = {key: event[key] for key in expected or {}}
            if found != expected:
                wrong.append(f"{kind}: expected {expected}, found {found or _short(event)}")
        history.apply(event)
    return wrong
