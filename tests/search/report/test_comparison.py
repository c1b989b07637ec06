from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from search.log.folder import SearchFolder
from search.log.history import History, Journal
from search.log.trial import Gain, TrialRecord
from search.planning.plan import TaskSize
from search.report.comparison import Comparison
from search.report.seed_covariance import SeedCovariance
from trainable.metrics import score_error, scores
from trainable.paired_error import paired_error
from trainable.run_config import RunConfig
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.predictions import LABELLED, PREDICTIONS, Found, write_probabilities

SIZES = {task: TaskSize(1000, 10.0, 400, 300) for task in COURSE}
Numbers = dict[TaskName, torch.Tensor]


def found_of(inputs: RunInputs, noise: float, seed: int) -> Found:
    """Return probabilities that are the labels under noise."""
    draw, found = torch.Generator().manual_seed(seed), Found()
    for split in LABELLED:
        labels = {task: rows.labels for task, rows in inputs.corpus.splits[split].items()}
        hot = torch.nn.functional.one_hot(labels["sst"].long(), 5).float()
        clean = {"sst": hot, "para": labels["para"][:, None], "sts": labels["sts"][:, None] / 5}
        found[split] = {
            task: (own + noise * torch.randn(own.shape, generator=draw)).clamp(0, 1)
            for task, own in clean.items()
        }
    return found


def record(run: Run, number: int, found: Found, origin: str) -> TrialRecord:
    """Return the record of a finished trial with the scores of what it predicted."""
    trial = TrialRecord(number, {}, run.config.to_dict(), 0.0, 1.0, origin=origin, status="done")
    splits, last = run.inputs.corpus.splits, dict[str, float | None]()
    for split, prefix in (("select", ""), ("confirm", "confirm_")):
        labels = {task: splits[split][task].labels for task in COURSE}
        own = scores(run.decide(found[split]), labels, COURSE)
        last |= {f"{prefix}{key}": value for key, value in own.items()}
    trial.reports = {run.config.units: last}
    trial.checkpoints = {run.config.units: f"trial_{number}/checkpoint_000009"}
    return trial


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder("search", str(tmp_path), tmp_path / "search")


@pytest.fixture
def run(inputs: RunInputs) -> Run:
    return Run(RunConfig(), inputs)


def compared(run: Run, folder: SearchFolder, *, kept: tuple[int, ...]) -> tuple[Gain, list[Found]]:
    """Compare a better trial 1 with the default, trial 0; `kept` have their predictions."""
    found = [found_of(run.inputs, noise, seed) for seed, noise in enumerate((0.9, 0.6))]
    history = History()
    for number, own in enumerate(found):
        trial = record(run, number, own, "random" if number else "default")
        history.trials[number] = trial
        if number in kept:
            path = folder.local / trial.checkpoints[trial.units] / PREDICTIONS
            path.parent.mkdir(parents=True)
            write_probabilities(run, path, own)
    Comparison(Journal(history), folder, SIZES).update()
    gain = history.trials[1].gain
    assert gain is not None
    assert history.trials[0].gain is None
    return gain, found


def test_errors_are_paired_where_both_left_their_predictions(
    run: Run, folder: SearchFolder
) -> None:
    gain, found = compared(run, folder, kept=(0, 1))
    assert gain.is_paired
    errors = []
    for split in LABELLED:
        labels = {t: run.inputs.corpus.splits[split][t].labels.numpy() for t in COURSE}
        default, better = (
            {task: np.asarray(values) for task, values in run.decide(own[split]).items()}
            for own in found
        )
        errors.append(paired_error(better, default, labels, COURSE))
    assert [gain.select_error, gain.confirm_error] == pytest.approx(errors)
    assert gain.select > 0


@pytest.mark.parametrize("kept", [(), (0,), (1,)])
def test_without_predictions_errors_are_those_of_two_scores(
    run: Run, folder: SearchFolder, kept: tuple[int, ...]
) -> None:
    gain, found = compared(run, folder, kept=kept)
    trials = [record(run, number, own, "") for number, own in enumerate(found)]
    n_select = {task: size.n_select for task, size in SIZES.items()}
    expected = math.hypot(*(score_error(trial.last, COURSE, n_select) for trial in trials))
    assert not gain.is_paired
    assert gain.select_error == pytest.approx(expected)
    assert gain.select == pytest.approx(trials[1].score - trials[0].score)


def test_the_covariance_of_runs_is_that_of_their_predictions(
    run: Run, folder: SearchFolder
) -> None:
    runs = []
    for number in range(3):
        found = found_of(run.inputs, 0.7, number)
        runs.append(record(run, number, found, "random"))
        path = folder.local / runs[-1].checkpoints[runs[-1].units] / PREDICTIONS
        path.parent.mkdir(parents=True)
        write_probabilities(run, path, found)
    covariance = SeedCovariance(folder, SIZES)
    own = covariance(runs, "confirm")
    assert own.shape == (3, 3)
    assert np.linalg.eigvalsh(own).min() > 0
    alone = covariance(runs[:1], "confirm")
    assert alone[0, 0] == pytest.approx(own[0, 0], rel=0.2)

    runs[1].checkpoints = {}
    without = covariance(runs, "confirm")
    assert (without == np.diag(without.diagonal())).all()
    n_confirm = {task: size.n_confirm for task, size in SIZES.items()}
    confirm = {
        key.removeprefix("confirm_"): value
        for key, value in runs[0].last.items()
        if key.startswith("confirm_")
    }
    expected = score_error(confirm, COURSE, n_confirm) ** 2
    assert without[0, 0] == pytest.approx(expected)
