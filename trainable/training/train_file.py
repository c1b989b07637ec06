"""Train the configuration of a file, and print its dev scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from rich.console import Console

from trainable.cache.files import read_json
from trainable.errors import InputError
from trainable.metrics import score_keys
from trainable.run_config import RunConfig
from trainable.stages.pretraining_loop import StageFailed
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run, RunFailed
from trainable.training.progress_bar import train


def print_example() -> int:
    """Print the default RunConfig as JSON; returns the exit status."""
    print(json.dumps(RunConfig().to_dict(), indent=2))
    return 0


def train_file(path: Path | None) -> int:
    """Train the configuration of a file; returns the exit status.

    Args:
        path: A RunConfig, or the best.json of a search; it is an error to give none.
    """
    try:
        if path is None:
            raise InputError("give a CONFIG.json; `python -m trainable --example` prints one")
        _train(read_config(path), Console(highlight=False, soft_wrap=True))
    except (InputError, RunFailed, StageFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_config(path: Path) -> RunConfig:
    """Read a RunConfig from its own file or from a best.json.

    Raises:
        InputError: The file is missing or is neither.
    """
    values = read_json(path, "`python -m trainable --example` prints one")
    if isinstance(values, dict) and "run_config" in values:
        values = values["run_config"]
    return RunConfig.from_dict(values, str(path))


def _train(config: RunConfig, console: Console) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = open_inputs(config, device)
    for note in inputs.corpus.notes:
        console.print(note, markup=False)
    run, keys = Run(config, inputs), score_keys(config.data.table)

    def show(losses: dict[str, float]) -> None:
        scores = run.evaluate("select")
        text = "  ".join(f"{key} {scores[key]:.4f}" for key in keys)
        console.print(f"unit {run.units}/{config.units}  {text}")

    train(run, console, "training", show)
    scores = run.evaluate("confirm")
    console.print("confirm    " + "  ".join(f"{key} {scores[key]:.4f}" for key in keys))
