"""Train one configuration with several seeds on its full budget, and write what comes of it.

OUT/retrain.json            scores of each seed, mean and standard deviation
OUT/seed_N/encoder/         a Hugging Face folder: BertModel.from_pretrained loads it
OUT/seed_N/heads.safetensors, run_config.json
OUT/seed_N/predictions/     dev and test, in the course's submission format
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console

from search.export import Best, read_best
from trainable.errors import InputError
from trainable.evaluation import SCORE_KEYS
from trainable.files import write_json
from trainable.hugging_face import write_encoder, write_heads
from trainable.loop import Run, RunFailed
from trainable.predictions import write_predictions
from trainable.progress_bar import train
from trainable.run_config import RunConfig
from trainable.workbench import Workbench, open_workbench


@dataclass(frozen=True)
class RetrainOptions:
    """Train the best configuration of a search again, with several seeds."""

    best: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BEST.json")]
    """The best.json of a search."""

    seeds: int = 3
    """Number of runs; their seeds are 1, 2, ..."""

    train_on: Literal["train", "train+dev"] = "train"
    """Labels to learn from. With dev among them there is nothing left to score on."""

    out: Path | None = None
    """Folder for the results. Default: `retrain` beside BEST.json."""


def main(arguments: list[str] | None = None) -> int:
    """Run `search/retrain.py`; returns the exit status."""
    options = tyro.cli(RetrainOptions, prog="search/retrain.py", args=arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.seeds < 1:
            raise InputError(f"--seeds {options.seeds}: give at least 1")
        _retrain(options, read_best(options.best), console)
    except (InputError, RunFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _retrain(options: RetrainOptions, best: Best, console: Console) -> None:
    out = options.out or options.best.parent / "retrain"
    if (out / "retrain.json").exists():
        raise InputError(f"{out} holds an earlier retraining; choose another --out")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = open_workbench(best.run_config.data, best.run_config.encoder, device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error}); give another folder") from error
    for note in bench.notes:
        console.print(note, markup=False)
    if bench.corpus.fingerprint != best.data_fingerprint:
        console.print("note: the data are not those of the search; its scores do not compare")
    if options.train_on == "train+dev":
        bench = replace(bench, corpus=bench.corpus.with_dev_in_train())
    values = {"best": best.model_dump(mode="json"), "train_on": options.train_on}
    scores: dict[int, dict[str, Any]] = {}
    for seed in range(1, options.seeds + 1):
        config = best.run_config.model_copy(update={"seed": seed})
        scores[seed] = _one_seed(config, bench, options, out / f"seed_{seed}", console)
        summary = _summary(scores)
        # After each seed: an interruption later loses nothing of it.
        write_json(out / "retrain.json", {**values, "seeds": scores, "summary": summary})
    _print(scores, summary, console)
    console.print(f"encoders, heads and predictions are in {out}", markup=False)


def _one_seed(
    config: RunConfig, bench: Workbench, options: RetrainOptions, folder: Path, console: Console
) -> dict[str, Any]:
    """Train one run and write its files; returns split -> scores."""
    run = Run(config, bench)
    train(run, console, f"seed {config.seed}", lambda losses: None)
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    write_encoder(run, folder / "encoder")
    write_heads(run, folder)
    write_predictions(run, folder / "predictions")
    if options.train_on != "train":
        return {}
    found = {split: run.evaluate(split) for split in ("select", "confirm")}
    return {split: {key: own[key] for key in SCORE_KEYS} for split, own in found.items()}


def _summary(scores: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return split -> metric -> mean and standard deviation over seeds (None for one seed)."""
    summary: dict[str, Any] = {}
    for split in next(iter(scores.values())):
        summary[split] = {}
        for key in SCORE_KEYS:
            values = [own[split][key] for own in scores.values()]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            summary[split][key] = {"mean": statistics.fmean(values), "stdev": deviation}
    return summary


def _print(scores: dict[int, dict[str, Any]], summary: dict[str, Any], console: Console) -> None:
    if not summary:
        console.print("trained on train and dev: there is nothing left to score on")
        return
    for split, metrics in summary.items():
        console.print(f"\n{split:12}" + "".join(f"{key:>12}" for key in SCORE_KEYS))
        for seed, own in scores.items():
            row = "".join(f"{own[split][key]:12.4f}" for key in SCORE_KEYS)
            console.print(f"  seed {seed:<5}{row}")
        for name in ("mean", "stdev"):
            cells = [metrics[key][name] for key in SCORE_KEYS]
            row = "".join(f"{'-':>12}" if cell is None else f"{cell:12.4f}" for cell in cells)
            console.print(f"  {name:<10}{row}")
