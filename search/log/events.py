"""The event log of a search: append-only JSON lines, written by the driver only.

Everything else that a search knows of its past is a function of this log (`search.log.history`):
rungs, leaderboard, what the searcher learns from, TensorBoard's table, report, Optuna study.
Reading it needs neither Ray nor Optuna. All events carry `event` and `time` (seconds since 1970).
Version 2:

    search     version, options, n_trials, rungs, units, slots (trials at a time), cpus and gpus (of
               a slot), space, versions, data_fingerprint: first line
    resumed    options, n_trials, slots, cpus, gpus, versions: a later driver goes on with the
               search; slots that a killed driver held count as held until its last event
    places     slots: trials at a time from now on, since nodes came or went
    imported   search, params, run_config, reports, status (`done`, `failed`; older logs have done
               ones only, and do not say so): a trial of another search, for the searcher; all of
               them appear together with the first line
    suggested  trial (number), params, run_config, bracket, origin: who suggested it (`random`,
               `rung-gp`, ..., or names of rows and `default`, joined by commas)
    started    trial, id (Ray's), unit: it got a slot, after that many units of training
    reported   trial, unit, metrics (NaN and infinity become null), failure (empty, or why)
    decided    trial, unit, decision (`continue`, `pause`, `stop`), rank (1 is best), among
    paused     trial, unit: gave up its slot at a rung
    promoted   trial, unit, rank, among: may go on from that rung
    stopped    trial, unit, reason: will not go on
    failed     trial, error: a worker or node was lost; the trial goes on from its last checkpoint
    leaving    trial, unit, reason: its machine is about to be taken away; it stopped between two
               steps after that unit, and saves what it has
    saved      trial, unit, path: a checkpoint, below the folder of the search; replaces the one of
               the same unit, if there is one
    deleted    trial, unit, path
    lost       trial, unit, path, error: could not be read; an older one was taken, or none
    cost       trial, seconds, cpus, gpus, node: gave up a slot that it held for so long
    ended      trial, status (`done`, `stopped`, `failed`, `interrupted`), error or null
    limited    reason, min_gain: no new trial begins, until a driver resumes with another
               `--min-gain` or `--trials`
    closed     reason: the driver ended in order
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from trainable.cache.files import write_text

VERSION: Final = 2
Event = dict[str, Any]


class EventLog:
    """Appends events; each is on the disk before `append` returns.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # close the line that a killed driver left torn

    def append(self, event: Event) -> None:
        """Write one event."""
        self._file.write(_line(event))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def begin_log(path: Path, events: Iterable[Event]) -> None:
    """Write the first events of a log: the file appears with all of them, or not at all.

    A driver that is killed earlier leaves no search behind. A log with only some of these events
    would let a later driver go on without the others, and nobody would notice.
    """
    write_text(path, "".join(map(_line, events)))


def new_event(kind: str, **fields: Any) -> Event:
    """Return an event of this moment, in the form in which it is read from the log."""
    return {"event": kind, "time": time.time(), **_without_nan(fields)}


def read_events(path: Path) -> list[Event]:
    """Read a log; a line that a killed driver left torn is skipped."""
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def _line(event: Event) -> str:
    return json.dumps(event) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
