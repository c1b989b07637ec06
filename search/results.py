"""What happened in a search, read from its event log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from search.events import Event
from trainable.run_config import RunConfig

Status = Literal["running", "done", "stopped", "failed", "interrupted"]


@dataclass
class TrialRecord:
    """One trial.

    Attributes:
        number: 0, 1, ... in the order in which trials started.
        id: Ray's id.
        params: What the searcher chose.
        config: What ran.
        reports: Unit -> metrics, None for what is not known.
        status: `stopped` is by the scheduler at a rung, `interrupted` by the end of the search.
        error: Why it failed.
        started: Seconds since 1970.
        ended: Seconds since 1970; of the last event if it has not ended.
    """

    number: int
    id: str
    params: dict[str, Any]
    config: RunConfig
    started: float
    ended: float
    reports: dict[int, dict[str, float | None]] = field(default_factory=dict)
    status: Status = "running"
    error: str | None = None

    @property
    def units(self) -> int:
        """Units that the trial finished."""
        return max(self.reports, default=0)

    @property
    def last(self) -> dict[str, float | None]:
        """Metrics of its last unit; empty before the first."""
        return self.reports.get(self.units, {})

    @property
    def score(self) -> float:
        """Score on *select* after its last unit; minus infinity before the first."""
        value = self.last.get("score")
        return float("-inf") if value is None else value


def records(events: Iterable[Event]) -> list[TrialRecord]:
    """Return the trials of a search, in the order in which they started."""
    trials: dict[int, TrialRecord] = {}
    for event in events:
        kind = event["event"]
        if "trial" not in event:
            continue
        number: int = event["trial"]
        if kind == "suggested":
            config = RunConfig.from_dict(event["run_config"], f"event log, trial {number}")
            time = event["time"]
            trials[number] = TrialRecord(number, event["id"], event["params"], config, time, time)
        else:
            trial = trials[number]
            trial.ended = event["time"]
            if kind == "reported":
                trial.reports[event["unit"]] = event["metrics"]
                trial.status = "running"  # a later driver may go on with an interrupted trial
            elif kind == "ended":
                trial.status, trial.error = event["status"], event["error"]
    return list(trials.values())


def actor_seconds(events: Sequence[Event]) -> float:
    """Return the seconds that places for trials were there, busy or not, over all drivers."""
    total, opened, slots, last = 0.0, 0.0, 0, 0.0
    for event in events:
        if event["event"] in ("search", "resumed"):
            total += slots * (last - opened)  # nothing for the first driver
            opened, slots = event["time"], event["slots"]
        last = event["time"]
    return total + slots * (last - opened)


def leaderboard(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials, best first: by units finished, then by score; failed trials last.

    Scores after different budgets are not comparable, so a trial that went further ranks higher:
    the scheduler let it pass those that it left behind.
    """
    return sorted(trials, key=lambda t: (t.status != "failed", t.units, t.score), reverse=True)


def best(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the first of the leaderboard, or None where no trial reported a score."""
    ranked = [t for t in leaderboard(trials) if t.status != "failed" and t.reports]
    return ranked[0] if ranked else None
