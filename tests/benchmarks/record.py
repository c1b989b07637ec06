"""Record learning curves over the space `full`, which searches are replayed on.

    python tests/benchmarks/record.py --encoder MINILM --data-dir DIR --out OUT

It trains random configurations to the end and stops none early:

    recorded      each configuration twice, with two seeds, which separates the effect of the
                  configuration from noise
    neighbours    one configuration near every second recorded one, with a third seed, which shows
                  how smooth the landscape is

OUT keeps a file for each run. Runs whose files are there are not run again, so an interrupted
command continues where it stopped, and one with more `--trials` adds runs. Both tables are written
anew at the end. Configurations of which a run failed are left out.

The tables of the family `tasks` are those of MiniLM cut to its first layer, which takes two cores
two hours. They have the metrics of each task:

    python -c "import transformers as t
    t.BertModel.from_pretrained('MINILM', num_hidden_layers=1).save_pretrained('MINILM1')
    t.AutoTokenizer.from_pretrained('MINILM').save_pretrained('MINILM1')"
    cd tests/benchmarks && python record.py --encoder MINILM1 --data-dir DIR --out OUT \\
        --trials 100 --budget 60000 --score-at 1 3 9 --recorded task_curves.jsonl.gz \\
        --near task_neighbours.jsonl.gz
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

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro

from search.searchers.base import Params, draw_params
from spaces.catalogue import base_config, make_space
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.neighbours import neighbour
from tests.benchmarks.recorded import TABLES, write_table
from tests.course import TASK_METRICS
from trainable.cache.files import write_json
from trainable.data.sources import Cs224nData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.seeds import derive
from trainable.stages.multitask import Multitask
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run, RunFailed

_SEEDS = (0, 1)  # of the two runs of a recorded configuration
_NEAR_SEED = 2  # of the run of a neighbour


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
    """Number of recorded configurations."""

    budget: int = 150_000
    """Training tokens of a run."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core, all on one GPU if there is one."""

    score_at: tuple[int, ...] = tuple(range(1, UNITS + 1))
    """Units after which runs are scored; the last unit of a run must be among them."""

    recorded: Path = TABLES["recorded"][0]
    """The table of configurations to write."""

    near: Path = TABLES["recorded"][1]
    """The table of neighbours to write."""


class WantedRun(NamedTuple):
    """One run of a recorded configuration or of a neighbour.

    Attributes:
        trial: Number of the recorded configuration, or of the one that this is a neighbour of.
        seed: Seed of the run.
        params: The configuration.
    """

    trial: int
    seed: int
    params: Params


_inputs: RunInputs | None = None  # all runs of a process share encoder and data


def space_of(options: Options) -> Space:
    """Return `full` over the encoder and the data."""
    data = Cs224nData(dir=str(options.data_dir.absolute()))
    stage = Multitask(budget_tokens=options.budget, units=UNITS)
    return make_space("full", base_config(EncoderConfig(source=options.encoder), data, 0, stage))


def wanted_runs(space: Space, n_trials: int) -> Iterator[WantedRun]:
    """Yield all runs; those of a configuration and of its neighbour follow each other."""
    params = space.params()
    for number in range(n_trials):
        own = draw_params(params, random.Random(derive(0, "record", number)))
        for seed in _SEEDS:
            yield WantedRun(number, seed, own)
        if number % 2 == 0:
            yield WantedRun(number, _NEAR_SEED, neighbour(params, own, number // 2))


def file_of(out: Path, run: WantedRun) -> Path:
    """Return the file of a run."""
    return out / f"trial_{run.trial}_seed_{run.seed}.json"


def run_one(config: RunConfig, score_at: tuple[int, ...], path: Path) -> None:
    """Train one run to its end, and write `{scores, worth, tasks}`, or `{failure}`, to `path`."""
    global _inputs
    torch.set_num_threads(1)
    if _inputs is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        _inputs = open_inputs(config, device)
    run = Run(config, _inputs)
    found: list[dict[str, float] | None] = []
    try:
        while not run.done:
            run.train_unit()
            found.append(_scores(run, "select") if len(found) + 1 in score_at else None)
    except RunFailed as error:
        write_json(path, {"failure": str(error)})
    else:
        last = _scores(run, "confirm")
        tasks = {metric: _curve(metric, found, last) for metric in TASK_METRICS}
        write_json(path, {**_curve("score", found, last), "tasks": tasks})


def _scores(run: Run, split: str) -> dict[str, float]:
    return run.score(split, run.probabilities(split))


def _curve(
    metric: str, found: list[dict[str, float] | None], last: dict[str, float]
) -> dict[str, Any]:
    """Return one metric: `scores` on *select* after each unit, `worth` on *confirm*."""
    scores = [None if own is None else round(own[metric], 5) for own in found]
    return {"scores": scores, "worth": round(last[metric], 5)}


def run_missing(space: Space, wanted: list[WantedRun], options: Options) -> None:
    """Train the runs that have no file yet."""
    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        started = set()
        for run in wanted:
            path = file_of(options.out, run)
            if not path.exists():
                config = space.config_of(run.params)
                seeded = config.model_copy(update={"seed": run.seed})
                started.add(pool.submit(run_one, seeded, options.score_at, path))
        for n, future in enumerate(as_completed(started), 1):
            future.result()
            print(f"[{n}/{len(started)}]", flush=True)


def rows(wanted: list[WantedRun], out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of both tables: see `tests.benchmarks.recorded.read_table`."""
    recorded: list[dict[str, Any]] = []
    near: list[dict[str, Any]] = []
    for _, group in groupby(wanted, lambda run: run.trial):
        by_seed = {run.seed: run for run in group}
        runs = {s: json.loads(file_of(out, run).read_text("utf-8")) for s, run in by_seed.items()}
        if any("failure" in runs[seed] for seed in _SEEDS):
            continue
        if "failure" not in runs.get(_NEAR_SEED, {"failure": "there is none"}):
            params = by_seed[_NEAR_SEED].params
            near.append({"of": len(recorded), "params": params, **runs[_NEAR_SEED]})
        first = by_seed[_SEEDS[0]]
        recorded.append({"params": first.params, "runs": [runs[seed] for seed in _SEEDS]})
    return recorded, near


def main(options: Options) -> None:
    """Train the runs that have no file yet, and write the tables."""
    if UNITS not in options.score_at:
        sys.exit(f"--score-at {options.score_at}: a run ends with unit {UNITS}; name it, too")
    space = space_of(options)
    wanted = list(wanted_runs(space, options.trials))
    run_missing(space, wanted, options)
    recorded, near = rows(wanted, options.out)
    write_table(options.recorded, recorded)
    write_table(options.near, near)
    print(f"{len(recorded)} of {options.trials} configurations to {options.recorded}")
    print(f"{len(near)} neighbours of them to {options.near}")


if __name__ == "__main__":
    main(tyro.cli(Options))
