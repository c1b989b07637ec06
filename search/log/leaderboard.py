"""What a search found: its trials, ranked, read from the event log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search.log.events import Event
from search.log.trial import TrialRecord


def actor_seconds(events: Sequence[Event]) -> float:
    """Return the seconds that places for trials were there, busy or not, over all drivers."""
    total, opened, slots, last = 0.0, 0.0, 0, 0.0
    for event in events:
        if event["event"] == "places":  # of the same driver, which lives on
            last = event["time"]
        if event["event"] in ("search", "resumed", "places"):
            total += slots * (last - opened)  # nothing for the first driver
            opened, slots = event["time"], event["slots"]
        last = event["time"]
    return total + slots * (last - opened)


def leaderboard(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials, best first: by units finished, then by score; failed trials last."""
    return sorted(trials, key=lambda trial: trial.rank_key, reverse=True)
