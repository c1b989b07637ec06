"""Train one configuration with one seed, and write what people and ensembles need of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from search.report.ensemble import Labels, Member
from trainable.metrics import scores
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.tasks import TASK_NAMES
from trainable.training.hugging_face import write_encoder, write_heads
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.predictions import (
    LABELLED,
    PREDICTIONS,
    write_probabilities,
    write_submission,
)
from trainable.training.progress_bar import train


def train_seed(
    config: RunConfig, inputs: RunInputs, folder: Path, name: str, console: Console
) -> Member:
    """Train a run on its full budget and write its files.

    Args:
        config: The run, with its seed.
        inputs: Its encoder and data.
        folder: Where its files go; made if it is not there.
        name: For people: of the progress bar, and of the run in an ensemble.
        console: Where the progress bar is drawn.

    Raises:
        RunFailed: A loss is NaN or infinite.
        StageFailed: A stage before the tasks diverged.
    """
    run = Run(config, inputs)
    train(run, console, name, lambda losses: None)
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    write_encoder(run, folder / "encoder")
    write_heads(run, folder)
    found = {split: run.probabilities(split) for split in (*LABELLED, "test")}
    write_probabilities(run, folder / PREDICTIONS, found)
    member = Member(name, found, decision_threshold(config.para.pair))
    write_submission(member.predicted(), inputs.corpus.splits, folder / "predictions")
    return member


def dev_labels(inputs: RunInputs) -> Labels:
    """Return split -> task -> (n,) labels of the two halves of dev."""
    labels: Labels = {split: {} for split in LABELLED}
    for split in LABELLED:
        for task in TASK_NAMES:
            own = inputs.corpus.splits[split][task].labels
            assert own is not None, "dev is labelled"
            labels[split][task] = own
    return labels


def dev_scores(member: Member, inputs: RunInputs) -> dict[str, Any]:
    """Return split -> metric -> score on the two halves of dev."""
    predicted, labels = member.predicted(), dev_labels(inputs)
    return {split: scores(predicted[split], labels[split]) for split in LABELLED}
