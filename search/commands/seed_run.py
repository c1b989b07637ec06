"""Train one configuration with one seed, and write what people and ensembles need of it.

While it trains, the folder of the seed has a checkpoint: of its last unit, or of the step at which
Ctrl-C stopped it. A run that goes on from there comes to the same result, bit for bit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from search.report.ensemble import Labels, Member
from trainable.errors import InputError
from trainable.metrics import metrics_line, scores
from trainable.run_config import RunConfig
from trainable.training import checkpoint
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run, RunLeft
from trainable.training.predictions import (
    LABELLED,
    PREDICTIONS,
    read_probabilities,
    write_probabilities,
    write_submission,
)
from trainable.training.progress_bar import train
from trainable.training.trained_run import write_trained

_CHECKPOINT = "checkpoint_"


def train_seed(
    config: RunConfig,
    inputs: RunInputs,
    folder: Path,
    name: str,
    console: Console,
    on_step: Callable[[], None],
) -> Member:
    """Train a run on its full budget, from its checkpoint if there is one, and write its files.

    Args:
        config: The run, with its seed.
        inputs: Its encoder and data.
        folder: Where its files go; made if it is not there.
        name: For people: of the progress bar, and of the run in an ensemble.
        console: Where the progress bar is drawn, and the losses of each unit are printed.
        on_step: Called after each step; may raise `RunLeft` to stop.

    Raises:
        RunFailed: A loss is NaN or infinite.
        StageFailed: A stage before the tasks diverged.
        RunLeft: `on_step` raised it; the checkpoint is that of the last step.
    """
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    run = Run(config, inputs)
    _load_checkpoint(run, folder, name, console)

    def on_unit(losses: dict[str, float]) -> None:
        _save_checkpoint(run, folder)
        of_tasks = {f"{task}_loss": losses[f"{task}_loss"] for task in config.tasks}
        unit = f"{name}: unit {run.units}/{config.units}"
        console.print(f"{unit}  {metrics_line(of_tasks)}", markup=False)

    try:
        train(run, console, name, on_unit, on_step)
    except RunLeft:
        if run.units or run.steps:  # a stage before the tasks begins anew
            _save_checkpoint(run, folder)
        raise
    write_trained(run, folder)
    found = {split: run.probabilities(split) for split in (*LABELLED, "test")}
    member = Member.of(name, found, config)
    tasks, splits = config.data.table, inputs.corpus.splits
    write_submission(member.predicted(), splits, tasks, folder / "predictions")
    write_probabilities(run, folder / PREDICTIONS, found)
    return member


def is_trained(folder: Path) -> bool:
    """Return whether the folder of a seed has what `train_seed` writes last."""
    return (folder / PREDICTIONS).is_file()


def read_member(config: RunConfig, inputs: RunInputs, folder: Path, name: str) -> Member:
    """Return what `train_seed` returned when it wrote this folder.

    Raises:
        InputError: The file of predictions is torn, or is of other examples.
    """
    path, splits = folder / PREDICTIONS, inputs.corpus.splits
    ids = {
        split: {task: splits[split][task].ids for task in config.tasks if task in splits[split]}
        for split in (*LABELLED, "test")
    }
    try:
        found = read_probabilities(path.read_bytes(), ids, str(path))
    except InputError as error:
        raise InputError(f"{error}; delete {folder}, and this seed is trained again") from error
    return Member.of(name, found, config)


def delete_checkpoints(folder: Path, keep: str = "") -> None:
    """Delete the checkpoints of a seed, and what is left of those that a kill interrupted."""
    for path in folder.iterdir():
        if path.name.lstrip(".").startswith(_CHECKPOINT) and path.name != keep:
            shutil.rmtree(path)


def _save_checkpoint(run: Run, folder: Path) -> None:
    """Replace the checkpoint of a seed; the new one is whole before the old one goes."""
    name = f"{_CHECKPOINT}{run.units:06d}_{run.steps:09d}"
    if not (folder / name).exists():  # else not a step was made since it was loaded
        temporary = folder / f".{name}.{os.getpid()}.tmp"
        temporary.mkdir()
        checkpoint.save(run, temporary)
        temporary.rename(folder / name)
    delete_checkpoints(folder, keep=name)


def _load_checkpoint(run: Run, folder: Path, name: str, console: Console) -> None:
    """Let a run go on from its newest checkpoint that is whole; it begins anew without one."""
    found = [path for path in folder.iterdir() if path.name.startswith(_CHECKPOINT)]
    for path in sorted(found, reverse=True):
        try:
            checkpoint.load(run, path)
        except InputError as error:
            console.print(f"note: {error}; it is not used", markup=False)
            shutil.rmtree(path)
        else:
            text = f"{name} goes on after unit {run.units} of {run.config.units}, step {run.steps}"
            console.print(text, markup=False)
            return


def dev_labels(inputs: RunInputs) -> Labels:
    """Return split -> task -> (n,) labels of the two halves of dev."""
    labels: Labels = {split: {} for split in LABELLED}
    for split in LABELLED:
        for task, rows in inputs.corpus.splits[split].items():
            own = rows.labels
            assert own is not None, "dev is labelled"
            labels[split][task] = own
    return labels


def dev_scores(member: Member, inputs: RunInputs) -> dict[str, Any]:
    """Return split -> metric -> score on the two halves of dev."""
    predicted, labels = member.predicted(), dev_labels(inputs)
    return {split: scores(predicted[split], labels[split], member.tasks) for split in LABELLED}
