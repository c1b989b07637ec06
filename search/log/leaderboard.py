"""The trials of a search in order of rank, and how long its slots were there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search.log.events import Event
from search.log.trial import TrialRecord


def actor_seconds(events: Sequence[Event]) -> float:
    """Return the slot-seconds of a search: its slots, busy or not, times how long they were there.

    Those of all drivers are added up.
    """
    total, opened, slots, last = 0.0, 0.0, 0, 0.0
    for event in events:
        if event["event"] == "places":  # the same driver goes on with more or fewer slots
            last = event["time"]
        if event["event"] in ("search", "resumed", "places"):
            total += slots * (last - opened)  # zero at the first event
            opened, slots = event["time"], event["slots"]
        last = event["time"]
    return total + slots * (last - opened)


def leaderboard(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials, best first: by `TrialRecord.rank_key`."""
    return sorted(trials, key=lambda trial: trial.rank_key, reverse=True)
