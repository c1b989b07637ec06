"""Record learning curves of `full`: what searches are replayed on, and how smooth it is.

    python tests/benchmarks/record.py --encoder MINILM --data-dir DIR --out OUT

Trains random configurations to their ends, nothing stopped early:

    recorded      each twice, with two seeds, so that the two tell what belongs to a configuration
                  from what was luck
    neighbours    one configuration near every second of them, with a third seed: how smooth the
                  landscape is between recorded ones

OUT keeps a file for each run, and runs that it holds are not run again: an interrupted command goes
on where it stopped, and one with more `--trials` adds to what there is. Both tables are written
anew at the end. What has a run that failed is left out.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro
from optuna.trial import FixedTrial

from search.proposals import Params, draw_params
from spaces.catalogue import base_config, make_space
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.neighbours import neighbour
from tests.benchmarks.recorded import NEAR, RECORDED, write_table
from trainable.data.sources import Cs224nData
from trainable.encoder import EncoderConfig
from trainable.files import write_json
from trainable.loop import Run, RunFailed
from trainable.run_config import RunConfig
from trainable.seeds import derive
from trainable.stages.multitask import Multitask
from trainable.workbench import Workbench, open_workbench

_SEEDS = (0, 1)  # of the two runs of a configuration
_NEAR_SEED = 2


@dataclass(frozen=True)
class Options:
    """Train configurations of `full` and their neighbours, and write the tables of their curves."""

    encoder: str
    """A Hub id, or a Hugging Face folder."""

    data_dir: Path
    """Folder of the course's files."""

    out: Path
    """Where runs are kept, one file for each."""

    trials: int = 250
    """Configurations."""

    budget: int = 150_000
    """Training tokens of a run."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core, all on one GPU if there is one."""

    recorded: Path = RECORDED
    """The table of configurations to write."""

    near: Path = NEAR
    """The table of neighbours to write."""


class Task(NamedTuple):
    """One run.

    Attributes:
        trial: Number of the configuration that it is of, or near.
        seed: Of the run.
        params: What is run.
    """

    trial: int
    seed: int
    params: Params


_bench: Workbench | None = None  # all runs share encoder and data


def space_of(options: Options) -> Space:
    """Return `full` over the encoder and the data."""
    data = Cs224nData(dir=str(options.data_dir.absolute()))
    stage = Multitask(budget_tokens=options.budget, units=UNITS)
    return make_space("full", base_config(EncoderConfig(source=options.encoder), data, 0, stage))


def tasks(space: Space, n_trials: int) -> Iterator[Task]:
    """Yield all runs, those of a configuration and its neighbour together."""
    params = space.params()
    for number in range(n_trials):
        own = draw_params(params, random.Random(derive(0, "record", number)))
        for seed in _SEEDS:
            yield Task(number, seed, own)
        if number % 2 == 0:
            yield Task(number, _NEAR_SEED, neighbour(params, own, number // 2))


def file_of(out: Path, task: Task) -> Path:
    """Return where a run is kept."""
    return out / f"trial_{task.trial}_seed_{task.seed}.json"


def run_one(config: RunConfig, path: Path) -> None:
    """Train one run to its end, and write `{scores, worth}`, or `{failure}`, to `path`."""
    global _bench
    torch.set_num_threads(1)
    if _bench is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        _bench = open_workbench(config, device)
    run = Run(config, _bench)
    found: list[float] = []
    try:
        while not run.done:
            run.train_unit()
            found.append(_score(run, "select"))
    except RunFailed as error:
        write_json(path, {"failure": str(error)})
    else:
        scores = [round(score, 5) for score in found]
        write_json(path, {"scores": scores, "worth": round(_score(run, "confirm"), 5)})


def _score(run: Run, split: str) -> float:
    return run.score(split, run.probabilities(split))["score"]


def run_missing(space: Space, wanted: list[Task], options: Options) -> None:
    """Run what has no file yet."""
    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        started = set()
        for task in wanted:
            path = file_of(options.out, task)
            if not path.exists():
                config = space.suggest(FixedTrial(task.params))
                seeded = config.model_copy(update={"seed": task.seed})
                started.add(pool.submit(run_one, seeded, path))
        for n, future in enumerate(as_completed(started), 1):
            future.result()
            print(f"[{n}/{len(started)}]", flush=True)


def rows(wanted: list[Task], out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of both tables: see `tests.benchmarks.recorded.read_table`."""
    recorded: list[dict[str, Any]] = []
    near: list[dict[str, Any]] = []
    for _, own in groupby(wanted, lambda task: task.trial):
        tasks_of = {task.seed: task for task in own}
        runs = {s: json.loads(file_of(out, t).read_text("utf-8")) for s, t in tasks_of.items()}
        if any("failure" in runs[seed] for seed in _SEEDS):
            continue
        if "failure" not in runs.get(_NEAR_SEED, {"failure": "there is none"}):
            params = tasks_of[_NEAR_SEED].params
            near.append({"of": len(recorded), "params": params, **runs[_NEAR_SEED]})
        first = tasks_of[_SEEDS[0]]
        recorded.append({"params": first.params, "runs": [runs[seed] for seed in _SEEDS]})
    return recorded, near


def main(options: Options) -> None:
    """Run what is missing, and write the tables."""
    space = space_of(options)
    wanted = list(tasks(space, options.trials))
    run_missing(space, wanted, options)
    recorded, near = rows(wanted, options.out)
    write_table(options.recorded, recorded)
    write_table(options.near, near)
    print(f"{len(recorded)} of {options.trials} configurations to {options.recorded}")
    print(f"{len(near)} neighbours of them to {options.near}")


if __name__ == "__main__":
    main(tyro.cli(Options))
