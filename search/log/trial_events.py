"""What each event of the log changes in the record of its trial."""

from __future__ import annotations

import math
from collections.abc import Callable

from search.log.events import Event
from search.log.folder import inside
from search.log.race import verdict_of
from search.log.trial import Gain, TrialRecord


def apply_to_trial(trial: TrialRecord, event: Event) -> None:
    """Change a record by an event of its trial, other than that it was suggested.

    Raises:
        InputError: A checkpoint is not below the folder of the search.
    """
    # These may come long after the trial's end.
    if event["event"] not in ("deleted", "compared", "verdict"):
        trial.ended = event["time"]
    _APPLY[event["event"]](trial, event)


def imported_record(event: Event) -> TrialRecord:
    """Return the record of a trial of another search, from the event `imported`."""
    reports = {int(unit): metrics for unit, metrics in event["reports"].items()}
    time, status = event["time"], event.get("status", "done")
    return TrialRecord(
        -1, event["params"], event["run_config"], time, time, reports=reports, status=status
    )


def devices_of(event: Event) -> float:
    """Return the GPUs of a slot, or the cores of one without a GPU."""
    return float(event["gpus"] or event["cpus"])


def _started(trial: TrialRecord, event: Event) -> None:
    trial.id, trial.status, trial.error = event["id"], "running", None
    trial.is_closed, trial.notice = False, ""
    if trial.slot_since is None:  # else its worker was lost, and Ray replaced it in the same slot
        trial.slot_since = event["time"]


def _reported(trial: TrialRecord, event: Event) -> None:
    unit, trial.failures, trial.error = event["unit"], 0, event["failure"] or None
    trial.reported[unit] = event["time"]
    # A unit whose checkpoint came too late is repeated. If it fails then, its first report stays:
    # the rung has been decided by it.
    if not event["failure"] or unit not in trial.reports:
        trial.reports[unit] = event["metrics"]


def _decided(trial: TrialRecord, event: Event) -> None:
    trial.decided[event["unit"]] = event["decision"]


def _paused(trial: TrialRecord, event: Event) -> None:
    trial.status = "paused"


def _promoted(trial: TrialRecord, event: Event) -> None:
    trial.promoted.add(event["unit"])
    trial.status = "running"


def _stopped(trial: TrialRecord, event: Event) -> None:
    trial.status = "stopped"


def _audited(trial: TrialRecord, event: Event) -> None:
    trial.audited_at, trial.status = event["unit"], "running"


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


def _compared(trial: TrialRecord, event: Event) -> None:
    select_error = math.nan if event["select_error"] is None else event["select_error"]
    trial.gain = Gain(
        event["default"],
        event["select"],
        select_error,
        event["confirm"],
        event["confirm_error"],
        event["is_paired"],
    )


def _verdict(trial: TrialRecord, event: Event) -> None:
    trial.verdict = verdict_of(event)


_APPLY: dict[str, Callable[[TrialRecord, Event], None]] = {
    "started": _started,
    "reported": _reported,
    "decided": _decided,
    "paused": _paused,
    "promoted": _promoted,
    "stopped": _stopped,
    "audited": _audited,
    "failed": _failed,
    "leaving": _leaving,
    "saved": _saved,
    "deleted": _deleted,
    "lost": _deleted,
    "cost": _cost,
    "ended": _ended,
    "compared": _compared,
    "verdict": _verdict,
}
