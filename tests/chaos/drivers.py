"""Drivers of one search, one after the other, each in a process of its own that may be killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import search.log.mirror
from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.planning.make_plan import make_plan
from search.planning.options import parse
from search.planning.plan import Plan
from tests.chaos.stub import Faults, units

_STEP_SECONDS = 0.005
_PATIENCE_SECONDS = 300.0
# Drivers are forked from a process that has imported everything: half of the time of a start.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.chaos.stub_search", __name__])


class Search:
    """A search under test.

    Args:
        folder: Made for it.
        options: Of `search/run.py`, but for storage, name and --resume.
        storage: Where the search is kept; by default below the folder. A URI is copied to often.
        **faults: How stubs behave; see `Faults`.
    """

    def __init__(
        self, folder: Path, options: list[str], storage: Path | str | None = None, **faults: Any
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        storage = storage or folder / "runs"
        self.results = Path(str(storage).removeprefix("file://")) / "search"
        self._given = options
        self.options = [*options, "--name", "search", "--storage", str(storage)]
        self.behave(**faults)

    def behave(self, **faults: Any) -> None:
        """Let stubs of drivers to come behave so."""
        self.faults = Faults(folder=str(self.folder), **faults)
        text = json.dumps(asdict(self.faults))
        (self.folder / "faults.json").write_text(text, encoding="utf-8")

    def plan(self) -> Plan:
        """Return the plan of the search, which touches no file of it."""
        return make_plan(parse([*self._given, "--dry-run", "--storage", str(self.folder / "none")]))

    @property
    def log(self) -> Path:
        """The event log."""
        return self.results / EVENTS

    @property
    def disk(self) -> Path:
        """What drivers keep on their own disk."""
        return self.folder / "disk"

    @property
    def own_events(self) -> list[Event]:
        """All events of a driver whose storage is remote; `events` are those copied to there."""
        return [e for log in self.disk.glob(f"*/*/search/{EVENTS}") for e in read_events(log)]

    @property
    def events(self) -> list[Event]:
        """All events; none before there is a log."""
        return read_events(self.log) if self.log.exists() else []

    @property
    def units(self) -> list[dict[str, Any]]:
        """What stubs did."""
        return units(self.folder)

    @property
    def printed(self) -> str:
        """What all drivers printed."""
        return (self.folder / "driver.txt").read_text(encoding="utf-8")

    def start(self, *more: str) -> BaseProcess:
        """Start a driver that begins the search, or goes on with it if there is a log."""
        resume = ["--resume"] if self.log.exists() else []
        options = [*self.options, *resume, *more]
        driver = _CONTEXT.Process(target=_drive, args=(self.folder, options))
        driver.start()
        return driver

    def run(self, *more: str) -> int:
        """Let a driver run to its end; returns its exit status."""
        driver = self.start(*more)
        driver.join(_PATIENCE_SECONDS)
        if driver.is_alive():
            kill(driver)
            raise AssertionError(f"the driver does not come to an end:\n{self.printed}")
        assert driver.exitcode is not None
        return driver.exitcode

    def wait_for(self, driver: BaseProcess, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; returns False where the driver ended before."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            if holds():
                return True
            if not driver.is_alive():
                return False
            time.sleep(_STEP_SECONDS)
        kill(driver)
        raise AssertionError(f"waited in vain:\n{self.printed}")

    def n_events(self) -> int:
        """Return the number of whole lines of the log."""
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def kill_at_random(self, draw: random.Random, most_events: int = 40) -> bool:
        """Start a driver and kill it at a random moment; returns False where it finished before.

        Three quarters of the moments lie so many events after its start, so that they do not
        depend on how fast the machine is; the others so many seconds, mostly before its first job.
        """
        is_new, before = not self.log.exists(), self.n_events()
        driver = self.start()
        if is_new:  # a search that was killed before it began cannot go on
            self.wait_for(driver, lambda: self.n_events() > 0)
        if draw.random() < 0.75:
            room = draw.randint(1, most_events)
            self.wait_for(driver, lambda: self.n_events() >= before + room)
            time.sleep(draw.uniform(0.0, 2 * self.faults.seconds))
        else:
            driver.join(draw.uniform(0.0, 8.0))
        was_alive = kill(driver)
        if not was_alive and driver.exitcode != 0:
            raise AssertionError(f"the driver exited with {driver.exitcode}:\n{self.printed}")
        return was_alive


def kill(process: BaseProcess) -> bool:
    """Send SIGKILL; returns whether the process was alive."""
    was_alive = process.is_alive()
    if was_alive and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return was_alive


def _drive(folder: Path, options: list[str]) -> None:
    """Be a driver."""
    with (folder / "driver.txt").open("a", encoding="utf-8", buffering=1) as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    from tests.chaos import stub_search

    (folder / "disk").mkdir(exist_ok=True)
    tempfile.tempdir = str(folder / "disk")
    search.log.mirror._SECONDS = 0.5  # or a search of seconds would end before the first copy
    status = stub_search.run(folder / "faults.json", options)
    sys.stdout.flush()
    os._exit(status)
