"""Measure throughput and memory of trials that share a GPU, for values of `--gpus-per-trial`.

    nvidia-cuda-mps-control -d     # as cluster.yaml does; without it trials take turns on the GPU
    python tests/benchmarks/sharing.py [--gpus-per-trial 1 0.5 0.25 0.125] [--trials 16] [--out DIR]

It needs a GPU. The same trials run with 1, 2, 4 and 8 of them on each GPU, each time by
`search/run.py` in its own process with a local Ray. The search is random and every trial runs all
of its units, so that results do not change the trials. The time from the start of the first trial
to the end of the last includes the starts of processes and the slots that are empty at the end, so
take enough trials. Memory is the peak that the GPU's driver reports twice a second, less what was
in use before, divided by the trials at a time: weights, activations, torch's cache and the CUDA
context. `oom` counts trials that ran out of memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro

from search.log.events import Event, read_events
from search.log.folder import EVENTS
from tests.benchmarks.sharing_report import Line, line_of, print_lines, write_lines

_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Options:
    """Measure the same short trials with more and more of them on each GPU."""

    gpus_per_trial: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    """Values of the option of search/run.py with this name; one search for each."""

    trials: int = 16
    """Trials of each search; at least twice as many as run at a time."""

    budget: str = "400000"
    """Training tokens of a trial."""

    data: Literal["sample", "cs224n", "hub"] = "sample"
    """As in search/run.py."""

    data_dir: str | None = None
    """As in search/run.py."""

    encoder: str = "tiny"
    """As in search/run.py; `tiny` uses far less of the GPU than a real encoder."""

    precision: Literal["fp32", "bf16"] = "bf16"
    """As in search/run.py."""

    out: Path | None = None
    """Folder for sharing.json."""


Search = Callable[[list[str], Path], list[Event]]


class Peak:
    """Follows the memory in use inside a `with` block.

    Args:
        used: Returns the MiB in use.

    Attributes:
        before: MiB in use before the block.
        most: Largest value that was read.
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
    options: Options, gpus_per_trial: float, folder: Path, search: Search, used: Callable[[], float]
) -> Line:
    """Run one search.

    Args:
        options: Options of this program.
        gpus_per_trial: GPUs of a trial.
        folder: Empty folder for the search.
        search: Runs a search with these options in this folder, and returns its events.
        used: Returns the MiB in use on all GPUs.

    Raises:
        RuntimeError: No trial came to an end.
    """
    with Peak(used) as peak:
        events = search(
            [*search_options(options), "--gpus-per-trial", f"{gpus_per_trial:g}"], folder
        )
    return line_of(gpus_per_trial, events, peak.most - peak.before)


def search_options(options: Options) -> list[str]:
    """Return the options of a search in which each trial runs all of its units."""
    given = {name: getattr(options, name) for name in ("data", "encoder", "precision", "budget")}
    if options.data_dir is not None:
        given["data_dir"] = options.data_dir
    given |= {"space": "full", "searcher": "random", "scheduler": "none", "units": 3}
    given |= {"trials": options.trials, "seed": 0}
    words = [("--" + name.replace("_", "-"), str(value)) for name, value in given.items()]
    return [*(word for pair in words for word in pair), "--quiet"]


def run_search(arguments: list[str], folder: Path) -> list[Event]:
    """Run `search/run.py` with a local Ray."""
    own = ["--address", "local", "--storage", str(folder), "--name", "sharing"]
    command = [sys.executable, "search/run.py", *arguments, *own]
    subprocess.run(command, cwd=sys.path[0], check=True)
    return read_events(folder / "sharing" / EVENTS)


def used_on_gpus() -> float:
    """Return the MiB in use on all GPUs."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    printed = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return sum(float(number) for number in printed.split())


def machine() -> dict[str, object]:
    """Return the names of the GPUs, whether MPS runs, and torch's version."""
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {"gpus": names, "mps": (pipes / "control").exists(), "torch": torch.__version__}


def main(options: Options) -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU here; run this on a machine with one")
    here, lines = machine(), []
    print(f"GPUs {here['gpus']}, MPS {'runs' if here['mps'] else 'does not run'}")
    with tempfile.TemporaryDirectory() as folder:
        for gpus in options.gpus_per_trial:
            own = Path(folder) / f"{gpus:g}"
            own.mkdir()
            lines.append(measure(options, gpus, own, run_search, used_on_gpus))
            # An interruption loses one search only.
            write_lines(lines, options.out, search_options(options), here)
    print_lines(lines)


if __name__ == "__main__":
    main(tyro.cli(Options))
