"""How many trials should share a GPU: throughput and memory by `--gpus-per-trial`.

    nvidia-cuda-mps-control -d     # as cluster.yaml does; without it trials take turns on the GPU
    python tests/benchmarks/sharing.py [--shares 1 0.5 0.25 0.125] [--trials 16] [--out DIR]

Needs a GPU. The same trials (random search, so that results change nothing; every trial runs all of
its units) with 1, 2, 4 and 8 of them on each GPU, each time by `search/run.py` in a process of its
own, with a local Ray. The time is from the start of the first trial to the end of the last, starts
of processes and the last trials' empty places included: take enough trials. Memory is what the
driver of the GPU counts at most (looked at twice a second), less what was used before, for each
trial at a time: weights, activations, torch's cache and the CUDA context. `oom` counts trials that
ran out of memory; their configurations are larger than their share.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro

from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.log.history import History

_LOOK_SECONDS = 0.5
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "memoryerror")


@dataclass(frozen=True)
class Options:
    """Measure the same short trials with more and more of them on each GPU."""

    shares: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    """Values of --gpus-per-trial."""

    trials: int = 16
    """Trials with each share; at least twice as many as run at a time."""

    budget: str = "400000"
    """Training tokens of a trial."""

    data: Literal["sample", "cs224n", "hub"] = "sample"
    """As in search/run.py."""

    data_dir: str | None = None
    """As in search/run.py."""

    encoder: str = "tiny"
    """As in search/run.py; `tiny` says little about a real encoder."""

    precision: Literal["fp32", "bf16"] = "bf16"
    """As in search/run.py."""

    out: Path | None = None
    """Folder for sharing.json."""


@dataclass(frozen=True)
class Line:
    """What a search came to.

    Attributes:
        share: GPUs of a trial.
        at_a_time: Trials at the same time.
        done: Trials that ran to their end.
        out_of_memory: Trials that had too little memory, once or more.
        failed: Other trials that failed.
        seconds: From the start of the first trial to the end of the last.
        tokens: That all trials trained on.
        mib_per_trial: Largest use of the GPUs' memory, for each trial at a time.
    """

    share: float
    at_a_time: int
    done: int
    out_of_memory: int
    failed: int
    seconds: float
    tokens: float
    mib_per_trial: float

    @property
    def per_hour(self) -> float:
        """Trials an hour."""
        return 3600 * self.done / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Of all trials together."""
        return self.tokens / self.seconds


Search = Callable[[list[str], Path], list[Event]]


class Peak:
    """The largest of many readings, taken while it is open.

    Args:
        used: Returns the MiB in use.
    """

    def __init__(self, used: Callable[[], float]) -> None:
        self._used, self._over = used, threading.Event()
        self.before = self.most = used()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.most = max(self.most, self._used())


def measure(
    options: Options, share: float, folder: Path, search: Search, used: Callable[[], float]
) -> Line:
    """Run one search.

    Args:
        options: Of this program.
        share: GPUs of a trial.
        folder: Empty, for the search.
        search: Runs a search with options below a folder, and returns its events.
        used: Returns the MiB in use on all GPUs.

    Raises:
        RuntimeError: No trial had a place.
    """
    with Peak(used) as peak:
        events = search([*search_options(options), "--gpus-per-trial", f"{share:g}"], folder)
    return line_of(share, events, peak.most - peak.before)


def search_options(options: Options) -> list[str]:
    """Return the options of searches in which each trial runs all of its units."""
    given = {name: getattr(options, name) for name in ("data", "encoder", "precision", "budget")}
    if options.data_dir is not None:
        given["data_dir"] = options.data_dir
    given |= {"space": "full", "searcher": "random", "scheduler": "none", "units": 3}
    given |= {"trials": options.trials, "seed": 0}
    words = [("--" + name.replace("_", "-"), str(value)) for name, value in given.items()]
    return [*(word for pair in words for word in pair), "--quiet"]


def line_of(share: float, events: list[Event], mib: float) -> Line:
    """Return what the events of a search, and the memory in use, come to."""
    times = {kind: [e["time"] for e in events if e["event"] == kind] for kind in _SPAN}
    if not all(times.values()):
        raise RuntimeError(f"--gpus-per-trial {share:g}: no trial came to an end")
    trials = History(events).trials.values()
    said = {e["trial"]: "" for e in events if e["event"] == "suggested"}
    for event in events:
        if event["event"] in ("reported", "failed"):
            said[event["trial"]] += str(event.get("failure") or event.get("error") or "").lower()
    short = {n for n, text in said.items() if any(word in text for word in _OUT_OF_MEMORY)}
    at_a_time = int(next(e["slots"] for e in events if e["event"] == "search"))
    return Line(
        share=share,
        at_a_time=at_a_time,
        done=sum(trial.status == "done" for trial in trials),
        out_of_memory=len(short),
        failed=sum(t.status == "failed" and t.number not in short for t in trials),
        seconds=max(times["ended"]) - min(times["started"]),
        tokens=sum(trial.last.get("tokens") or 0.0 for trial in trials),
        mib_per_trial=mib / at_a_time,
    )


_SPAN = ("started", "ended")


def print_lines(lines: list[Line]) -> None:
    """Print a line for each share."""
    print("GPUs a trial  at a time  done  oom  failed  trials/h  MiB a trial  tokens/s in total")
    for line in lines:
        print(
            f"{line.share:12g} {line.at_a_time:10} {line.done:5} {line.out_of_memory:4} "
            f"{line.failed:7} {line.per_hour:9.1f} {line.mib_per_trial:12,.0f} "
            f"{line.tokens_per_second:18,.0f}"
        )


def write_lines(lines: list[Line], options: Options, machine: dict[str, object]) -> None:
    """Write sharing.json, if there is a folder for it."""
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        rates = [
            asdict(x) | {"per_hour": x.per_hour, "tokens_per_second": x.tokens_per_second}
            for x in lines
        ]
        found = {"machine": machine, "search": search_options(options), "lines": rates}
        (options.out / "sharing.json").write_text(json.dumps(found, indent=2), encoding="utf-8")


def run_search(arguments: list[str], folder: Path) -> list[Event]:
    """Run `search/run.py` with a local Ray."""
    own = ["--address", "local", "--storage", str(folder), "--name", "sharing"]
    command = [sys.executable, "search/run.py", *arguments, *own]
    subprocess.run(command, cwd=sys.path[0], check=True)
    return read_events(folder / "sharing" / EVENTS)


def used_on_gpus() -> float:
    """Return the MiB in use on all GPUs."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    said = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return sum(float(number) for number in said.split())


def machine() -> dict[str, object]:
    """Return which GPUs there are, and whether trials run on them at the same time (MPS)."""
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {"gpus": names, "mps": (pipes / "control").exists(), "torch": torch.__version__}


def main(options: Options) -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        sys.exit("error: this measures trials that share a GPU, and torch finds none here")
    here, lines = machine(), []
    print(f"GPUs {here['gpus']}, MPS {'runs' if here['mps'] else 'does not run'}")
    with tempfile.TemporaryDirectory() as folder:
        for share in options.shares:
            own = Path(folder) / f"{share:g}"
            own.mkdir()
            lines.append(measure(options, share, own, run_search, used_on_gpus))
            write_lines(lines, options, here)  # an interruption costs one share
    print_lines(lines)


if __name__ == "__main__":
    main(tyro.cli(Options))
