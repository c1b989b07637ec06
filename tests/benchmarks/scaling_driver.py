"""Run the real driver of a search, and measure which part of it takes how much time."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import optuna
import ray
from rich.console import Console

import search.commands.run
import search.commands.run_jobs
from search.log.checkpoints import Checkpoints
from search.log.events import EventLog
from search.loop.dispatcher import Dispatcher
from search.loop.limits import Limits
from search.loop.progress import Progress
from search.loop.trial_queue import TrialQueue
from search.loop.watchdog import Watchdog
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.report.tensorboard import TensorBoard
from tests.benchmarks import scaling_driver
from tests.chaos import stub

# Part -> its functions; the rest of the main thread's time is charged to `tune`.
_PARTS: dict[str, list[tuple[Any, tuple[str, ...]]]] = {
    "suggestions": [(TrialQueue, ("_suggest",))],
    "dispatcher": [(Dispatcher, ("next_job", "started", "reported", "saved", "left"))],
    "log": [(EventLog, ("append",))],
    "checkpoints": [(Checkpoints, ("_delete",))],
    "tensorboard": [(TensorBoard, ("write",))],
    "watching": [(Limits, ("look",)), (Watchdog, ("look",)), (Progress, ("look", "left"))],
    "waiting": [(ray, ("wait",))],
}
PARTS = ("tune", *_PARTS)


@dataclass(frozen=True)
class Measured:
    """Times of a driver between the first report and the end of the last trial.

    Attributes:
        seconds: Wall-clock.
        process: CPU seconds of the process, Ray's own threads included.
        cpu: Part -> CPU seconds of the main thread.
        wall: Part -> wall-clock seconds of the main thread.
        calls: Part -> number of times that it was entered from another part.
    """

    seconds: float
    process: float
    cpu: dict[str, float]
    wall: dict[str, float]
    calls: dict[str, int]


class Meter:
    """Charges each moment of the main thread to the innermost part that it is in."""

    def __init__(self) -> None:
        self._stack = ["tune"]
        self._cpu: dict[str, float] = defaultdict(float)
        self._wall: dict[str, float] = defaultdict(float)
        self._calls: Counter[str] = Counter()
        self._began: tuple[float, float] | None = None
        self._last = (0.0, 0.0)
        self.measured: Measured | None = None

    def begin(self) -> None:
        """Start measuring at the first call; later calls do nothing."""
        if self._began is None:
            self._charge()
            self._cpu.clear()
            self._wall.clear()
            self._calls.clear()
            self._began = (time.perf_counter(), time.process_time())

    def end(self) -> None:
        """Write the times so far to `measured`; the last call is the one that counts."""
        assert self._began is not None
        self._charge()
        wall, process = time.perf_counter(), time.process_time()
        self.measured = Measured(
            wall - self._began[0],
            process - self._began[1],
            dict(self._cpu),
            dict(self._wall),
            dict(self._calls),
        )

    def _charge(self) -> None:
        now = time.thread_time(), time.perf_counter()
        part = self._stack[-1]
        self._cpu[part] += now[0] - self._last[0]
        self._wall[part] += now[1] - self._last[1]
        self._last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge the time inside the `with` block to a part."""
        self._charge()
        if self._stack[-1] != name:
            self._calls[name] += 1
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Charge the calls of a function in the main thread to a part."""
        real: Callable[..., Any] = getattr(owner, name)

        @wraps(real)
        def timed(*given: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return real(*given, **named)
            with self.part(part):
                return real(*given, **named)

        setattr(owner, name, timed)


class GatedTrainable(stub.StubTrainable):
    """A stub that waits with its first unit until all workers have started.

    Processes start one after another, which takes as long as many short trials.

    Attributes:
        workers: Number of workers to wait for.
    """

    workers: int

    def step(self) -> dict[str, Any]:
        """Wait for the other workers once, and do the stub's unit."""
        if not getattr(self, "_is_open", False):
            folder = Path(self.faults.folder)
            while len({line["pid"] for line in stub.units(folder)}) < self.workers:
                time.sleep(0.05)
            self._is_open = True
        return super().step()


def drive(asked: SearchOptions, workers: int, faults: stub.Faults) -> dict[str, Any]:
    """Run a search as `search/run.py` does, without its report, and return `Measured` as a dict.

    It replaces functions for the rest of the process, so it needs its own process.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for module in (stub, scaling_driver):  # workers cannot import tests
        ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    search.commands.run_jobs.MultitaskTrainable = type(  # type: ignore[attr-defined, assignment]
        "Gated", (GatedTrainable,), {"faults": faults, "workers": workers}
    )
    search.commands.run.write_results = lambda *_: None  # type: ignore[attr-defined]
    meter = Meter()
    for part, owners in _PARTS.items():
        for owner, names in owners:
            for name in names:
                meter.watch(owner, name, part)
    _between(meter)
    search.commands.run.run_search(make_plan(asked), Console(quiet=True))
    assert meter.measured is not None
    return asdict(meter.measured)


def _between(meter: Meter) -> None:
    """Measure from the first report to the end of the last trial."""
    reported, left = Dispatcher.reported, Dispatcher.left

    def first(self: Dispatcher, *given: Any, **named: Any) -> Any:
        meter.begin()
        return reported(self, *given, **named)

    def last(self: Dispatcher, *given: Any, **named: Any) -> Any:
        trial = left(self, *given, **named)
        meter.end()
        return trial

    Dispatcher.reported, Dispatcher.left = first, last  # type: ignore[method-assign]
