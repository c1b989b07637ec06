"""The event log of a search: append-only JSON lines, written by the driver only.

Everything else that a search knows of its past is a function of this log (`search.log.history`):
rungs, leaderboard, what the searcher learns from, TensorBoard's table, report, Optuna study.
Reading it needs neither Ray nor Optuna. All events carry `event`, `time` (seconds since 1970) and,
since logs have checksums, `crc` at the end of the line. What a killed driver wrote of its last
line stays, and ends in ` #torn` as soon as a later driver goes on behind it. Version 2:

    search     version, options, n_trials, rungs, units, slots (trials at a time), cpus and gpus (of
               a slot), space, versions, data_fingerprint, tasks: first line; edited (base: the
               RunConfig that the space varies, fixed: params with a value) where the user changed
               the space; chosen: options that were chosen for --time-limit, if any were
    resumed    options, n_trials, slots, cpus, gpus, versions: a later driver goes on with the
               search; slots that a killed driver held count as held until its last event
    places     slots: trials at a time from now on, since nodes came or went
    imported   search, params, run_config, reports, status (`done`, `failed`; older logs have done
               ones only, and do not say so): a trial of another search, for the searcher; all of
               them appear together with the first line
    suggested  trial (number), params, run_config, bracket, origin: who suggested it (`random`,
               `rung-gp`, ..., or names of rows and `default`, joined by commas); seed_of (a
               number) where it is a run of that trial's configuration with a new seed
    started    trial, id (Ray's), unit: it got a slot, after that many units of training
    reported   trial, unit, metrics (NaN and infinity become null), failure (empty, or why)
    decided    trial, unit, decision (`continue`, `pause`, `stop`), rank (1 is best), among
    paused     trial, unit: gave up its slot at a rung
    promoted   trial, unit, rank, among: may go on from that rung
    stopped    trial, unit, reason: will not go on
    audited    trial, unit: would be stopped there, but was drawn to run on to its end
    failed     trial, error: a worker or node was lost; the trial goes on from its last checkpoint
    leaving    trial, unit, reason: its machine is about to be taken away; it stopped between two
               steps after that unit, and saves what it has
    saved      trial, unit, path: a checkpoint, below the folder of the search; replaces the one of
               the same unit, if there is one
    deleted    trial, unit, path
    lost       trial, unit, path, error: could not be read; an older one was taken, or none
    cost       trial, seconds, cpus, gpus, node: gave up a slot that it held for so long
    ended      trial, status (`done`, `stopped`, `failed`, `interrupted`), error or null
    compared   trial, default (its number), select, select_error, confirm, confirm_error, is_paired:
               how much more a finished trial scored than the default, with standard errors
    finalists  trials (numbers, the best first, the default last; empty with a reason), asked (how
               many beside the default), n_runs (that they may have), n_trials (of the search, so
               far), first (number of the first run with a new seed)
    raced      winner (number), live (numbers: who gets the next seed), is_over, reason, standings
               (a list of trial, seeds, mean, behind, error, left): after each seed of the
               finalists; means are on select over new seeds; behind the leader, with the error of
               that over new seeds and examples; left: the round after which it got no more
    verdict    trial (the winner), default (its number), seeds (new ones of each), score,
               score_width, gain, gain_width, interval (their coverage), is_better: on confirm and
               over new seeds; widths are half of the intervals'; the race is over
    forecast   seconds, device_hours (of the whole search), cost (null without a price), each as the
               ends of an 80 % interval; disk_bytes (at most); elapsed (seconds since the driver
               began): what was left, at the first time at which that was known
    limited    reason, min_gain: no new trial begins, until a driver resumes with another
               `--min-gain` or `--trials`
    closed     reason: the driver ended in order
"""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from search.log.checked_line import TORN, describe_line, has_checksum, parse_line, to_line
from trainable.cache.files import write_bytes
from trainable.errors import InputError

VERSION: Final = 2
Event = dict[str, Any]
_BEGINNING = b'{"event": "'  # of every line


class EventLog:
    """Appends events; each is on the disk before `append` returns.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        if last := path.read_bytes().rpartition(b"\n")[2]:
            self._file.write(b"\n" if _is_whole(last) else TORN + b"\n")

    def append(self, event: Event) -> None:
        """Write one event."""
        self._file.write(to_line(event))
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
    write_bytes(path, b"".join(map(to_line, events)))


def new_event(kind: str, **fields: Any) -> Event:
    """Return an event of this moment, in the form in which it is read from the log."""
    return {"event": kind, "time": time.time(), **_without_nan(fields)}


def read_events(path: Path) -> list[Event]:
    """Read a log, without what killed drivers left torn.

    Raises:
        InputError: A line is damaged otherwise.
    """
    *lines, last = path.read_bytes().split(b"\n")
    events: list[Event] = []
    damaged: dict[int, str] = {}  # number of a line -> what is wrong with it
    are_checked = False
    for number, line in enumerate(lines, start=1):
        if line.endswith(TORN):
            continue
        try:
            event = parse_line(line)
        except ValueError as error:
            damaged[number] = str(error)
            continue
        if event["event"] == "resumed" and not are_checked:
            _forgive_torn(damaged, lines, number)
        if has_checksum(line):
            are_checked = True
        elif are_checked:
            damaged[number] = "it has no checksum, though earlier lines have one"
        events.append(event)
    if damaged:
        raise InputError(_refusal(path, lines, damaged))
    if last and _is_whole(last):
        events.append(parse_line(last))
    return events


def _is_whole(line: bytes) -> bool:
    try:
        parse_line(line)
    except ValueError:
        return False
    return True


def _forgive_torn(damaged: dict[int, str], lines: list[bytes], resumed: int) -> None:
    """Forget damage directly before a later driver went on: an earlier one was killed there.

    Drivers mark such lines since logs have checksums; older ones only ended them.
    """
    number = resumed - 1
    while number in damaged and lines[number - 1].startswith(_BEGINNING[: len(lines[number - 1])]):
        del damaged[number]
        number -= 1


def _refusal(path: Path, lines: list[bytes], damaged: dict[int, str]) -> str:
    """Return what is damaged, what follows from it, and how to go on."""
    first, *others = damaged
    what = f"{describe_line(first, lines[first - 1])} is damaged: {damaged[first]}"
    if others:
        what += f"; the same goes for line {', '.join(map(str, others))}"
    if 1 in damaged:
        way = "a search cannot go on without its first line"
    else:
        delete = ";".join(f"{number}d" for number in damaged)
        way = (
            f"to go on without the events that are lost, drop them on purpose, which keeps the old "
            f"log beside the new one: sed -i.damaged '{delete}' {shlex.quote(str(path))}"
        )
    return (
        f"{path}: {what}; scores, ranks and checkpoints that follow from it would be wrong; "
        f"bring back a whole copy of the log; {way}"
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
