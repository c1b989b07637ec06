"""Train rows of the papers, and one row for each component, at equal budget, and compare them.

    python tests/benchmarks/papers.py --encoder DIR --data-dir DIR --nli-dir DIR --out OUT

All rows have the same seeds, budget, learning rates and schedule, and differ only in what a row is
about. Batch orders that train set by set need whole epochs, which a short budget does not have;
rows that are about something else use a round robin instead. Runs whose results are in OUT are not
run again, so an interrupted command continues where it stopped. OUT/table.md has the comparison;
papers_table.py says how it is made.
"""

from __future__ import annotations

import json
import math
import os
import sys
from concurrent.futures import as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor

from spaces.ablation import ablation
from spaces.fixed_configs import matching
from spaces.published import load_published
from tests.benchmarks.papers_table import REFERENCE, table
from tests.benchmarks.process_pool import process_pool
from tests.course import TASK_NAMES
from trainable.batch_orders.in_turn import RoundRobin
from trainable.batch_orders.visits import SetRoundRobin
from trainable.cache.files import write_json, write_tensors
from trainable.data.nli import SickNli
from trainable.data.pretraining_text import OwnText
from trainable.data.sources import Cs224nData
from trainable.metrics import scores
from trainable.model.encoder import EncoderConfig
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import Run

# `gradients/weighted` is left out: with weights of 1 it is the plain sum.
_COMPONENTS = ("batch_order/*", "gradients/[!w]*", "stage/*", "auxiliary/nli")


@dataclass(frozen=True)
class Options:
    """Train rows of the papers and rows of an ablation at equal budget."""

    encoder: str
    """A Hub id or a Hugging Face folder."""

    data_dir: str
    """Folder of the course's files."""

    nli_dir: str
    """Folder of SICK_train.txt, for the stages of natural language inference."""

    out: Path
    """Where results are kept, one file for each run."""

    rows: str = "*"
    """Patterns of row names, as in the shell, separated by commas."""

    budget: int = 30_000
    """Training tokens of a run; a stage before the tasks has as many again."""

    seeds: int = 3
    """Runs of each row."""

    lr: float = 1e-4
    """Learning rate of the encoder, in every row."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core."""


def configurations(options: Options) -> dict[str, RunConfig]:
    """Return name -> configuration of every row; those of the first paper come first."""
    stage = Multitask(budget_tokens=options.budget, units=1)
    base = RunConfig(
        data=Cs224nData(dir=str(Path(options.data_dir).absolute())),
        encoder=EncoderConfig(source=options.encoder),
        multitask=stage,
    )
    text, nli = (OwnText(),), SickNli(dir=str(Path(options.nli_dir).absolute()))
    known = {row.id: row for row in load_published()}
    rows = {name: known[name].config(base, text, nli) for name in matching(known, "one-size/*")}
    found = {name: _adapted(config, options) for name, config in rows.items()}
    for name, config in ablation(found[REFERENCE], text, nli):
        if any(fnmatchcase(name, pattern) for pattern in _COMPONENTS):
            config = _equal_budget(config, options)
            if config not in found.values():
                found[name] = config
    return {name: found[name] for name in matching(found, options.rows)}


def _adapted(config: RunConfig, options: Options) -> RunConfig:
    """Return a row with the common learning rate, and round robin instead of whole sets."""
    assert config.multitask is not None
    changes: dict[str, Any] = {"optimization": Optimization(lr=options.lr)}
    order = config.multitask.batch_order
    if isinstance(order, SetRoundRobin):
        changes["batch_order"] = RoundRobin(batch_size=order.batch_size, gradients=order.gradients)
    stage = config.multitask.model_copy(update=changes)
    return _equal_budget(config.model_copy(update={"multitask": stage}), options)


def _equal_budget(config: RunConfig, options: Options) -> RunConfig:
    changes: dict[str, Any] = {}
    for slot in ("further_pretraining", "nli"):
        stage = getattr(config, slot)
        if stage.kind != "none":
            changes[slot] = stage.model_copy(update={"lr": options.lr})
    if isinstance(config.head_tuning, CachedHeadTuning):
        changes["head_tuning"] = config.head_tuning.model_copy(update={"epochs": 2})
    return config.model_copy(update=changes)


_inputs: tuple[InputsSpec, RunInputs] | None = None  # each process keeps those of its last run


def run_one(config: RunConfig, path: Path) -> dict[str, float]:
    """Train one run, write its predictions and scores, and return its scores."""
    global _inputs
    torch.set_num_threads(1)
    source = InputsSpec.of(config)
    if _inputs is None or _inputs[0] != source:
        _inputs = (source, open_inputs(config, torch.device("cpu")))
    run = Run(config, _inputs[1])
    metrics: dict[str, float] = {}
    while not run.done:
        metrics = run.train_unit()
    found = run.decide(run.probabilities("select"))
    labels = {task: _inputs[1].corpus.splits["select"][task].labels for task in COURSE}
    write_tensors(path.with_suffix(".safetensors"), {str(t): own for t, own in found.items()})
    known = {task: own for task, own in labels.items() if own is not None}
    kept = {key: value for key, value in metrics.items() if math.isfinite(value)}
    result = scores(found, known, COURSE) | kept
    write_json(path, {"run_config": config.to_dict(), "metrics": result, "steps": run.steps})
    return result


def file_of(options: Options, name: str, seed: int) -> Path:
    """Return the JSON file of a run; its predictions lie beside it as .safetensors."""
    return options.out / f"{name.replace('/', '--')}--{seed}.json"


def run_all(options: Options, rows: dict[str, RunConfig]) -> None:
    """Run what OUT does not hold yet: all rows with one seed before any with the next."""
    options.out.mkdir(parents=True, exist_ok=True)
    waiting = [
        (name, seed, config.model_copy(update={"seed": seed}))
        for seed in range(options.seeds)
        for name, config in rows.items()
        if not file_of(options, name, seed).exists() and rows[_first_equal(name, rows)] is config
    ]
    with process_pool(options.jobs) as pool:
        started = {
            pool.submit(run_one, config, file_of(options, name, seed)): (name, seed)
            for name, seed, config in waiting
        }
        for n, future in enumerate(as_completed(started), 1):
            name, seed = started[future]
            result = future.result()
            print(f"[{n}/{len(started)}] {name} seed {seed}: {result['score']:.4f}", flush=True)


def _first_equal(name: str, rows: dict[str, RunConfig]) -> str:
    """Return the first row with the same configuration; rows that are equal run once."""
    return next(other for other, config in rows.items() if config == rows[name])


def predictions_of(options: Options, name: str) -> list[dict[TaskName, Tensor]]:
    """Return the predictions of a row's runs on *select*, one entry for each seed that has run."""
    files = [file_of(options, name, seed) for seed in range(options.seeds)]
    found = [load_file(f.with_suffix(".safetensors")) for f in files if f.exists()]
    return [{task: own[task] for task in TASK_NAMES} for own in found]


def labels_of(rows: dict[str, RunConfig]) -> dict[TaskName, Tensor]:
    """Return the labels of *select*, which are the same for all rows."""
    config = next(iter(rows.values()))
    splits = open_inputs(config, torch.device("cpu")).corpus.splits["select"]
    return {task: own.labels for task, own in splits.items() if own.labels is not None}


def main() -> None:
    """Run what OUT does not hold yet, and print the table."""
    options = tyro.cli(Options)
    rows = configurations(options)
    run_all(options, rows)
    runs = {name: predictions_of(options, _first_equal(name, rows)) for name in rows}
    text = table({name: found for name, found in runs.items() if found}, labels_of(rows))
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    write_json(options.out / "options.json", json.loads(json.dumps(vars(options), default=str)))


if __name__ == "__main__":
    main()
