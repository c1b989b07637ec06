"""Measure the memory of the actors of one node, their own and their part of what they share.

    python tests/benchmarks/memory.py --encoder DIR [--data-dir DIR] [--actors 4]

The processes do what actors for trials on a CPU do, without Ray: each imports the project, opens
the encoder and the data, and builds a run. They wait for each other after every step. The kernel
counts (Linux only), in MB for each process:

    own        private memory (anonymous)
    share      private memory and a proportional part of shared memory (PSS)
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import mean

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro

import trainable.worker.ray_trainable  # noqa: F401  every actor imports it
from trainable.data.sources import Cs224nData, DataSource, SampleData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run

_STEPS = ("libraries", "encoder and data", "a run")
_Sizes = list[tuple[float, float]]  # `own` and `share` after each step, MB


@dataclass(frozen=True)
class Options:
    """Measure the memory of actors."""

    encoder: str
    """A Hub id, or a Hugging Face folder."""

    data_dir: str | None = None
    """Folder of the course's files; without it the sample data."""

    actors: int = 4
    """Number of processes; --gpus-per-trial 0.25 makes four for each GPU."""


_barrier: Barrier  # shared by all actors; each process sets it when it starts


def _join(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def be_actor(config: RunConfig) -> _Sizes:
    """Do what an actor does, and return its memory after each of `_STEPS`."""
    torch.set_num_threads(1)
    sizes: _Sizes = []

    def measure() -> None:
        gc.collect()
        _barrier.wait()
        sizes.append((_megabytes("Anonymous"), _megabytes("Pss")))
        _barrier.wait()

    try:
        measure()
        inputs = open_inputs(config, torch.device("cpu"))
        measure()
        run = Run(config, inputs)
        measure()
        del run
    except BaseException:
        _barrier.abort()  # otherwise the other actors would wait for ever
        raise
    return sizes


def _megabytes(name: str) -> float:
    """Return one entry of this process's smaps_rollup, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return float(kilobytes) * 1024 / 1e6


def main(options: Options) -> None:
    """Measure, and print the mean over actors after each step."""
    data: DataSource = SampleData()
    if options.data_dir is not None:
        data = Cs224nData(dir=str(Path(options.data_dir).absolute()))
    config = RunConfig(data=data, encoder=EncoderConfig(source=options.encoder))
    context = multiprocessing.get_context("spawn")
    barrier, n = context.Barrier(options.actors), options.actors
    with ProcessPoolExecutor(n, context, initializer=_join, initargs=(barrier,)) as actors:
        sizes = list(actors.map(be_actor, [config] * n))
    print(f"{options.actors} actors     own, MB  share, MB")
    for step, name in enumerate(_STEPS):
        own, share = (mean(size[step][kind] for size in sizes) for kind in (0, 1))
        print(f"{name:17} {own:7.0f} {share:10.0f}")


if __name__ == "__main__":
    main(tyro.cli(Options))
