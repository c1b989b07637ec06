"""What happened in a search: the event log, folded into one record for each trial.

The driver writes through a `Journal`, so that what it knows and what the log says are always the
same; a later driver, a report or a replay gets the same `History` from the log alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from search.events import VERSION, Event, EventLog, new_event
from spaces.walk import Value
from trainable.errors import InputError
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
        origin: Who proposed it: names of rows, `default`, `random`, `rung-gp`, ...
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
    place_seconds: float = 0.0
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
    def standing(self) -> tuple[bool, int, float]:
        """What the leaderboard is sorted by.

        Scores after different budgets are not comparable, so a trial that went further ranks
        higher: the scheduler let it pass those that it left behind.
        """
        return self.status != "failed", self.units, self.score

    def score_at(self, unit: int) -> float:
        """Score on *select* after a unit; minus infinity where it is not known."""
        value = self.reports.get(unit, {}).get("score")
        return -math.inf if value is None else value


class History:
    """All trials of a search.

    Attributes:
        trials: By number, in the order in which they were suggested.
        imported: Trials of other searches; the searcher learns from them, nothing else does.
        header: The first event of the log; empty before it is written.
        n_trials: How many trials it will have; 0 before the first event.
        limited: The event after which no more trials may begin; None while they may.
        n_over: How many trials are over.
        changes: Of each event of a trial its number, so that who reads again finds what is new.
        reports: Trial and unit of each report, in the order of the log.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[int, TrialRecord] = {}
        self.imported: list[TrialRecord] = []
        self.header: Event = {}
        self.n_trials = 0
        self.limited: Event | None = None
        self.n_over = 0
        self.changes: list[int] = []
        self.reports: list[tuple[int, int]] = []
        self._last = 0.0
        self._devices = 1.0  # of a place, until the log says how many
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take note of one event; the order of the log matters.

        Raises:
            InputError: The log is of another version.
        """
        kind, time = event["event"], event["time"]
        if kind == "search":
            _check_version(event)
            self.header, self.n_trials = event, event["n_trials"]
        elif kind == "limited":
            self.limited = event
        elif kind == "resumed":
            self._charge_lost_places()
            self._lift_limit(event)
            self._resume(event["n_trials"])
        elif kind == "imported":
            self.imported.append(_imported(event))
        elif kind == "suggested":
            number = event["trial"]
            self.trials[number] = TrialRecord(
                number,
                event["params"],
                event["run_config"],
                time,
                time,
                event["bracket"],
                event["origin"],
            )
        elif "trial" in event:
            trial = self.trials[event["trial"]]
            trial.ended = time
            self.changes.append(trial.number)
            if kind == "reported":
                self.reports.append((trial.number, event["unit"]))
            was_over = trial.is_over
            _APPLY[kind](trial, event)
            self.n_over += trial.is_over - was_over
        self._last = time
        if "gpus" in event:
            self._devices = _devices(event)

    @property
    def best(self) -> TrialRecord | None:
        """The first of the leaderboard; None where no trial reported a score."""
        ranked = [t for t in self.trials.values() if t.status != "failed" and t.reports]
        return max(ranked, key=lambda trial: trial.standing, default=None)

    def _charge_lost_places(self) -> None:
        """A killed driver could not say what its places cost: it held them to its last event."""
        for trial in self.trials.values():
            if trial.placed is not None:
                _charge(trial, max(0.0, self._last - trial.placed), self._devices)

    def _lift_limit(self, resumed: Event) -> None:
        """What the limit followed from holds no more where the user asks for something else."""
        if self.limited is not None and (
            resumed["n_trials"] != self.n_trials
            or resumed["options"].get("min_gain") != self.limited["min_gain"]
        ):
            self.limited = None

    def _resume(self, n_trials: int) -> None:
        """With more trials, those that had no chance any more may have one again."""
        if n_trials > self.n_trials:
            for trial in self.trials.values():
                if trial.status == "stopped" and self._may_go_on(trial):
                    trial.status, trial.is_closed = "paused", False
                    self.n_over -= 1
        self.n_trials = n_trials

    def _may_go_on(self, trial: TrialRecord) -> bool:
        """Whether a stopped trial could be promoted, were there more trials.

        What was paused could. Of what the scheduler stopped at its rung, only promotion-asha takes
        anything up again, and never a score that is no number.
        """
        unit = max(trial.decided)
        if trial.decided[unit] == "pause":
            return True
        promotes = self.header["options"]["scheduler"] == "promotion-asha"
        return promotes and math.isfinite(trial.score_at(unit))


def _check_version(header: Event) -> None:
    if header["version"] != VERSION:
        raise InputError(
            f"the event log is of version {header['version']}, this program reads {VERSION}; use "
            f"the version of the project that wrote it"
        )


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
    trial.checkpoints[event["unit"]] = event["path"]


def _deleted(trial: TrialRecord, event: Event) -> None:
    if trial.checkpoints.get(event["unit"]) == event["path"]:  # a later attempt may have saved anew
        del trial.checkpoints[event["unit"]]


def _cost(trial: TrialRecord, event: Event) -> None:
    _charge(trial, event["seconds"], _devices(event))


def _charge(trial: TrialRecord, seconds: float, devices: float) -> None:
    trial.place_seconds += seconds
    trial.device_seconds += seconds * devices
    trial.placed = None


def _devices(event: Event) -> float:
    """Return the GPUs of a place, or the cores of one without a GPU."""
    return float(event["gpus"] or event["cpus"])


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


def _imported(event: Event) -> TrialRecord:
    reports = {int(unit): metrics for unit, metrics in event["reports"].items()}
    time, status = event["time"], event.get("status", "done")
    return TrialRecord(
        -1, event["params"], event["run_config"], time, time, reports=reports, status=status
    )


class Journal:
    """The history of a search that is under way, and the log that it is written to.

    Args:
        history: What an earlier driver left, or an empty one.
        log: Where events go first; None in a replay.
    """

    def __init__(self, history: History, log: EventLog | None = None) -> None:
        self.history = history
        self._log = log

    def write(self, kind: str, **fields: Any) -> Event:
        """Write one event, and take note of it."""
        event = new_event(kind, **fields)
        if self._log is not None:
            self._log.append(event)
        self.history.apply(event)
        return event
