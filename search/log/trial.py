"""One trial of a search, as the events of its log make it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from search.log.events import Event
from search.log.folder import inside
from trainable.component import Value
from trainable.run_config import RunConfig

Status = Literal["running", "paused", "done", "stopped", "failed", "interrupted"]
Action = Literal["continue", "pause", "stop"]
Metrics = dict[str, float | None]


@dataclass
class TrialRecord:
    """One trial.

    Attributes:
        number: 0, 1, ... in the order in which trials were suggested; -1 for an imported one.
        params: What the searcher chose.
        run_config: What ran, as a dictionary.
        started: Seconds since 1970.
        ended: Seconds since 1970, of its last event.
        bracket: Which of the scheduler's brackets it belongs to.
        origin: Who suggested it: names of rows, `default`, `random`, `rung-gp`, ...
        id: Ray's, of the last time it got a place; empty before the first.
        reports: Unit -> metrics, None for what is not known.
        reported: Unit -> when, in seconds since 1970.
        decided: Unit of a rung -> `continue`, `pause` or `stop`.
        promoted: Units of the rungs from which it was let on after a pause.
        checkpoints: Unit -> path below the folder of the search; what was deleted is not there.
        status: `running` from the suggestion on, also while it waits for a place; `stopped` is by
            the scheduler, `interrupted` by the end of the search.
        error: Why it failed, or None.
        failures: Attempts that failed since the last report.
        last_failure: What the last of all attempts that failed, failed with.
        notice: Why it left its last machine, of which it had notice; empty once it has another.
        place_seconds: How long it held a place.
        device_seconds: The same, times the GPUs of the place, or the cores of one without a GPU.
        placed: Since when it holds one, in seconds since 1970; None while it does not.
        is_closed: Whether the log says that it ended; a killed driver may have come only so far as
            to say that it is stopped.
    """

    number: int
    params: dict[str, Value]
    run_config: dict[str, Any]
    started: float
    ended: float
    bracket: int = 0
    origin: str = ""
    id: str = ""
    reports: dict[int, Metrics] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    decided: dict[int, Action] = field(default_factory=dict)
    promoted: set[int] = field(default_factory=set)
    checkpoints: dict[int, str] = field(default_factory=dict)
    status: Status = "running"
    error: str | None = None
    failures: int = 0
    last_failure: str = ""
    notice: str = ""
    slot_seconds: float = 0.0
    device_seconds: float = 0.0
    placed: float | None = None
    is_closed: bool = False
    _config: RunConfig | None = None

    @property
    def config(self) -> RunConfig:
        """What ran; parsed when somebody asks, since ten thousand take seconds."""
        if self._config is None:
            self._config = RunConfig.from_dict(self.run_config, f"event log, trial {self.number}")
        return self._config

    @property
    def units(self) -> int:
        """Units that the trial finished."""
        return max(self.reports, default=0)

    @property
    def last(self) -> Metrics:
        """Metrics of its last unit; empty before the first."""
        return self.reports.get(self.units, {})

    @property
    def score(self) -> float:
        """Score on *select* after its last unit; minus infinity before the first."""
        return self.score_at(self.units)

    @property
    def is_open(self) -> bool:
        """Whether a later driver goes on with it at once."""
        return self.status in ("running", "interrupted")

    @property
    def is_over(self) -> bool:
        """Whether nothing will be trained of it any more, unless the search is extended."""
        return self.status in ("done", "stopped", "failed")

    @property
    def rank_key(self) -> tuple[bool, int, float]:
        """What the leaderboard is sorted by.

        Scores after different budgets are not comparable, so a trial that went further ranks
        higher: the scheduler let it pass those that it left behind.
        """
        return self.status != "failed", self.units, self.score

    def apply(self, event: Event) -> None:
        """Take note of an event of this trial, other than that it was suggested.

        Raises:
            InputError: A checkpoint is not below the folder of the search.
        """
        self.ended = event["time"]
        _APPLY[event["event"]](self, event)

    def charge(self, seconds: float, devices: float) -> None:
        """Take note of what a place cost that it does not hold any more.

        Args:
            seconds: That it was held.
            devices: Its GPUs, or the cores of one without a GPU.
        """
        self.slot_seconds += seconds
        self.device_seconds += seconds * devices
        self.placed = None

    def score_at(self, unit: int) -> float:
        """Score on *select* after a unit; minus infinity where it is not known."""
        value = self.reports.get(unit, {}).get("score")
        return -math.inf if value is None else value


def imported_record(event: Event) -> TrialRecord:
    """Return a trial of another search, as an event brings it."""
    reports = {int(unit): metrics for unit, metrics in event["reports"].items()}
    time, status = event["time"], event.get("status", "done")
    return TrialRecord(
        -1, event["params"], event["run_config"], time, time, reports=reports, status=status
    )


def devices_of(event: Event) -> float:
    """Return the GPUs of a place, or the cores of one without a GPU."""
    return float(event["gpus"] or event["cpus"])


def _started(trial: TrialRecord, event: Event) -> None:
    trial.id, trial.status, trial.error = event["id"], "running", None
    trial.is_closed, trial.notice = False, ""
    if trial.placed is None:  # else its worker was lost, and Ray replaced it in the same place
        trial.placed = event["time"]


def _reported(trial: TrialRecord, event: Event) -> None:
    trial.failures = 0
    trial.reported[event["unit"]] = event["time"]
    trial.reports[event["unit"]], trial.error = event["metrics"], event["failure"] or None


def _decided(trial: TrialRecord, event: Event) -> None:
    trial.decided[event["unit"]] = event["decision"]


def _paused(trial: TrialRecord, event: Event) -> None:
    trial.status = "paused"


def _promoted(trial: TrialRecord, event: Event) -> None:
    trial.promoted.add(event["unit"])
    trial.status = "running"


def _stopped(trial: TrialRecord, event: Event) -> None:
    trial.status = "stopped"


def _failed(trial: TrialRecord, event: Event) -> None:
    trial.failures += 1
    trial.last_failure = event["error"]


def _leaving(trial: TrialRecord, event: Event) -> None:
    trial.notice = event["reason"]


def _saved(trial: TrialRecord, event: Event) -> None:
    trial.checkpoints[event["unit"]] = inside(event["path"])


def _deleted(trial: TrialRecord, event: Event) -> None:
    if trial.checkpoints.get(event["unit"]) == event["path"]:  # a later attempt may have saved anew
        del trial.checkpoints[event["unit"]]


def _cost(trial: TrialRecord, event: Event) -> None:
    trial.charge(event["seconds"], devices_of(event))


def _ended(trial: TrialRecord, event: Event) -> None:
    trial.status, trial.error, trial.is_closed = event["status"], event["error"], True


_APPLY: dict[str, Callable[[TrialRecord, Event], None]] = {
    "started": _started,
    "reported": _reported,
    "decided": _decided,
    "paused": _paused,
    "promoted": _promoted,
    "stopped": _stopped,
    "failed": _failed,
    "leaving": _leaving,
    "saved": _saved,
    "deleted": _deleted,
    "lost": _deleted,
    "cost": _cost,
    "ended": _ended,
}
