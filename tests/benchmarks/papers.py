"""Train rows of the papers, and one row for each component, at equal budget, and compare them.

    python tests/benchmarks/papers.py --encoder DIR --data-dir DIR --nli-dir DIR --out OUT

Every row runs with the same seeds, budget, learning rates and schedule; what differs is what the
row is about. Orders that train set by set need whole epochs, which a short budget does not have: in
rows that are about something else, batches take turns instead. Runs that OUT holds are not run
again, so that an interrupted command goes on where it stopped.

Scores are those on *select*. The standard error of a difference has two parts: examples, by a
bootstrap that draws the same examples for both rows, and seeds.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro
from torch import Tensor

from spaces.ablation import ablation
from spaces.fixed_configs import matching
from spaces.published import load_published
from trainable.batch_orders.in_turn import RoundRobin
from trainable.batch_orders.visits import SetRoundRobin
from trainable.cache.files import write_json, write_tensors
from trainable.data.nli import SickNli
from trainable.data.sources import Cs224nData
from trainable.data.text import OwnText
from trainable.metrics import scores
from trainable.model.encoder import EncoderConfig
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask
from trainable.tasks import TASKS
from trainable.training.inputs import RunInputs, Source, open_inputs
from trainable.training.loop import Run

_REFERENCE = "one-size/para-cross-cls-1layer"
_METRICS = ("score", *(task.metric for task in TASKS.values()))
# Weights of 1 would be the sum again.
_COMPONENTS = ("batch_order/*", "gradients/[!w]*", "stage/*", "auxiliary/nli")
_RESAMPLES = 1000


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
    """Which rows, as in the shell; several with commas."""

    budget: int = 30_000
    """Training tokens of a run; a stage before the tasks has as many."""

    seeds: int = 3
    """Runs of each row."""

    lr: float = 1e-4
    """Learning rate of the encoder, in every row."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core."""


def configurations(options: Options) -> dict[str, RunConfig]:
    """Return name -> configuration of every row, the first paper's first."""
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
    for name, config in ablation(found[_REFERENCE], text, nli):
        if any(fnmatchcase(name, pattern) for pattern in _COMPONENTS):
            config = _equal_budget(config, options)
            if config not in found.values():
                found[name] = config
    return {name: found[name] for name in matching(found, options.rows)}


def _adapted(config: RunConfig, options: Options) -> RunConfig:
    """Return a row with the learning rates of all rows, and turns instead of whole sets."""
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


_inputs: tuple[Source, RunInputs] | None = None  # a process keeps its last


def run_one(config: RunConfig, path: Path) -> dict[str, float]:
    """Train one run and write its predictions and scores."""
    global _inputs
    torch.set_num_threads(1)
    source = Source.of(config)
    if _inputs is None or _inputs[0] != source:
        _inputs = (source, open_inputs(config, torch.device("cpu")))
    run = Run(config, _inputs[1])
    metrics: dict[str, float] = {}
    while not run.done:
        metrics = run.train_unit()
    found = run.decide(run.probabilities("select"))
    labels = {task: _inputs[1].corpus.splits["select"][task].labels for task in TASKS}
    write_tensors(path.with_suffix(".safetensors"), {str(t): own for t, own in found.items()})
    known = {task: own for task, own in labels.items() if own is not None}
    kept = {key: value for key, value in metrics.items() if math.isfinite(value)}
    result = scores(found, known) | kept
    write_json(path, {"run_config": config.to_dict(), "metrics": result, "steps": run.steps})
    return result


def file_of(options: Options, name: str, seed: int) -> Path:
    """Return the file of a run."""
    return options.out / f"{name.replace('/', '--')}--{seed}.json"


def run_all(options: Options, rows: dict[str, RunConfig]) -> None:
    """Run what is not there yet: every row once, before any runs with the next seed."""
    options.out.mkdir(parents=True, exist_ok=True)
    waiting = [
        (name, seed, config.model_copy(update={"seed": seed}))
        for seed in range(options.seeds)
        for name, config in rows.items()
        if not file_of(options, name, seed).exists() and rows[_first_equal(name, rows)] is config
    ]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        started = {
            pool.submit(run_one, config, file_of(options, name, seed)): (name, seed)
            for name, seed, config in waiting
        }
        for n, future in enumerate(as_completed(started), 1):
            name, seed = started[future]
            result = future.result()
            print(f"[{n}/{len(started)}] {name} seed {seed}: {result['score']:.4f}", flush=True)


def _first_equal(name: str, rows: dict[str, RunConfig]) -> str:
    """Return the first row with the same configuration, which is run for all of them."""
    return next(other for other, config in rows.items() if config == rows[name])


def table(options: Options, rows: dict[str, RunConfig]) -> str:
    """Return mean scores, their standard errors over seeds, and differences to a reference."""
    labels = _labels(rows)
    runs = {name: _predictions(options, _first_equal(name, rows)) for name in rows}
    heads = "".join(f" {key} | diff ± se |" for key in _METRICS)
    lines = [f"| row | n | reference |{heads}", "|---" * (3 + 2 * len(_METRICS)) + "|"]
    for name, own in runs.items():
        if not own:
            continue
        reference = _reference_of(name, rows)
        cells = []
        values = [scores(found, labels) for found in own]
        others = runs.get(reference) or []
        errors = _standard_errors(own, others, labels) if others and name != reference else {}
        for key in _METRICS:
            mean = statistics.fmean(value[key] for value in values)
            spread = statistics.stdev(v[key] for v in values) if len(values) > 1 else math.nan
            cells.append(f"{mean:.3f} ± {spread / math.sqrt(len(values)):.3f}")
            if errors:
                other = statistics.fmean(scores(found, labels)[key] for found in others)
                cells.append(f"{mean - other:+.3f} ± {errors[key]:.3f}")
            else:
                cells.append("-")
        lines.append(f"| {name} | {len(own)} | {reference} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _reference_of(name: str, rows: dict[str, RunConfig]) -> str:
    """Return the row that differs from this one in what it is about, and in nothing else."""
    if name.startswith("gradients/"):
        return "batch_order/lock_step"
    return "one-size/baseline" if name.startswith("one-size/sts") else _REFERENCE


def _labels(rows: dict[str, RunConfig]) -> dict[Any, Tensor]:
    config = next(iter(rows.values()))
    splits = open_inputs(config, torch.device("cpu")).corpus.splits["select"]
    return {task: rows.labels for task, rows in splits.items() if rows.labels is not None}


def _predictions(options: Options, name: str) -> list[dict[Any, Tensor]]:
    from safetensors.torch import load_file

    files = [file_of(options, name, seed) for seed in range(options.seeds)]
    return [dict(load_file(f.with_suffix(".safetensors"))) for f in files if f.exists()]


def _standard_errors(
    own: list[dict[Any, Tensor]], others: list[dict[Any, Tensor]], labels: dict[Any, Tensor]
) -> dict[str, float]:
    """Return the standard error of the difference of the means over seeds, by metric."""
    generator = torch.Generator().manual_seed(0)
    n = min(len(own), len(others))
    drawn: dict[str, list[float]] = {key: [] for key in _METRICS}
    for _ in range(_RESAMPLES):
        rows = {t: torch.randint(len(y), (len(y),), generator=generator) for t, y in labels.items()}
        chosen = {t: y[rows[t]] for t, y in labels.items()}
        pairs = [
            [scores({t: p[rows[t]] for t, p in found.items()}, chosen) for found in side[:n]]
            for side in (own, others)
        ]
        for key in _METRICS:
            one, other = (statistics.fmean(s[key] for s in side) for side in pairs)
            drawn[key].append(one - other)
    errors = {}
    for key in _METRICS:
        by_seed = [
            scores(a, labels)[key] - scores(b, labels)[key]
            for a, b in zip(own, others, strict=False)
        ]
        seeds = statistics.variance(by_seed) / n if n > 1 else 0.0
        errors[key] = math.sqrt(statistics.variance(drawn[key]) + seeds)
    return errors


def main() -> None:
    """Run what is missing, and print the table."""
    options = tyro.cli(Options)
    rows = configurations(options)
    run_all(options, rows)
    text = table(options, rows)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    write_json(options.out / "options.json", json.loads(json.dumps(vars(options), default=str)))


if __name__ == "__main__":
    main()
