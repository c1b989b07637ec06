"""Train the configuration of a file, print its dev scores, and keep the model if that is wanted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from safetensors import SafetensorError

from trainable.cache.files import read_json
from trainable.cache.yaml_file import SUFFIXES, read_yaml
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.learning import learning_keys
from trainable.metrics import metrics_line, shown_keys
from trainable.model.encoder import EncoderConfig
from trainable.partial_config import complete, filled_note
from trainable.run_config import RunConfig
from trainable.stages.pretraining_loop import StageFailed
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run, RunFailed
from trainable.training.progress_bar import train
from trainable.training.trained_run import write_trained


def print_example() -> int:
    """Print the default configuration as JSON; returns the exit status."""
    print(json.dumps(default_run(EncoderConfig(), SampleData()).to_dict(), indent=2))
    return 0


def train_file(path: Path | None, out: Path | None = None) -> int:
    """Train the configuration of a file; returns the exit status.

    Args:
        path: A RunConfig or a part of one, or the best.json of a search; it is an error to give
            none.
        out: Folder for the trained model, which must be new or empty; None to keep nothing.
    """
    try:
        if path is None:
            raise InputError(
                "give a CONFIG, JSON or YAML; `python -m trainable --example` prints one"
            )
        config, note = read_config(path)
        if note:
            print(note, file=sys.stderr)
        if out is not None:
            _make(out)
        _train(config, out, Console(highlight=False, soft_wrap=True))
    except (InputError, RunFailed, StageFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_config(path: Path) -> tuple[RunConfig, str]:
    """Read a RunConfig from its own file, JSON or YAML, or from a best.json.

    What a file of its own leaves out has its default. A best.json is complete: it must mean the
    same where defaults are others.

    Returns:
        The configuration, and a note that says what was filled in; empty if nothing was.

    Raises:
        InputError: The file is missing or is neither.
    """
    read = read_yaml if path.suffix in SUFFIXES else read_json
    values = read(path, "`python -m trainable --example` prints one")
    if isinstance(values, dict) and "run_config" in values:
        return RunConfig.from_dict(values["run_config"], str(path)), ""
    config, filled = complete(values, str(path))
    return config, filled_note(path, filled) if filled else ""


def _make(out: Path) -> None:
    """Make the folder before hours of training, or refuse one that holds something else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise InputError(f"--out {out} is not empty; give a new folder")
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error}); give another folder") from error


def _train(config: RunConfig, out: Path | None, console: Console) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = open_inputs(config, device)
    for note in inputs.corpus.notes:
        console.print(note, markup=False)
    run, table = Run(config, inputs), config.data.table

    def show(losses: dict[str, float]) -> None:
        scores = run.evaluate("select")
        console.print(f"unit {run.units}/{config.units}  {_shown(scores, shown_keys(table))}")
        console.print(f"          {_shown(scores, learning_keys(table))}")

    train(run, console, "training", show)
    scores = run.evaluate("confirm")
    console.print(f"confirm   {_shown(scores, shown_keys(table))}")
    if out is not None:
        try:
            write_trained(run, out)
        except (OSError, SafetensorError) as error:
            raise InputError(f"--out {out} cannot be written ({error})") from error
        console.print(f"the model is in {out}", markup=False)


def _shown(scores: dict[str, float], keys: tuple[str, ...]) -> str:
    return metrics_line({key: scores[key] for key in keys})
