"""The event log of a search: append-only JSON lines, written by the driver only.

Every report is a function of this log. Version 1 has these events; all carry `event` and `time`
(seconds since 1970):

    search     version, options, rungs, units, slots (trials at a time), space, versions,
               data_fingerprint: first line
    resumed    options, slots: a later driver went on with the search
    suggested  trial (number), id (Ray's), params, run_config
    reported   trial, unit, metrics (NaN and infinity become null)
    decided    trial, unit, decision (`stop`): by the scheduler, at a rung
    failed     trial, error: one attempt failed; Ray may retry it
    ended      trial, status (`done`, `stopped`, `failed`, `interrupted`), error or null
    closed     the driver ended in order
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

VERSION = 1
Event = dict[str, Any]


class EventLog:
    """Appends events; each is on the disk before `append` returns.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # close the line that a killed driver left torn

    def append(self, event: str, **fields: Any) -> None:
        """Write one event."""
        line = json.dumps({"event": event, "time": time.time(), **_without_nan(fields)})
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path) -> list[Event]:
    """Read a log; a line that a killed driver left torn is skipped."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
