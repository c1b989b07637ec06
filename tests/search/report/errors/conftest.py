from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from search.log.folder import SearchFolder
from tests.search.report.errors.finished_run import CONFIG, Finished
from trainable.data.examples import Examples
from trainable.data.sample import generate_sample
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.predictions import LABELLED, Found


@pytest.fixture(scope="module")
def examples() -> Examples:
    return generate_sample(0)


@pytest.fixture(scope="module")
def finished(inputs: RunInputs) -> Finished:
    """A run whose probabilities are the labels under noise: as if it had learned something."""
    generator = torch.Generator().manual_seed(0)

    def near(values: Tensor) -> Tensor:
        return values + 0.8 * torch.randn(values.shape, generator=generator)

    found: Found = {}
    for split in LABELLED:
        labels = {task: rows.labels for task, rows in inputs.corpus.splits[split].items()}
        hot = torch.nn.functional.one_hot(labels["sst"].long(), 5).float()
        found[split] = {
            "sst": near(2 * hot).softmax(1),
            "para": near(2 * labels["para"][:, None] - 1).sigmoid(),
            "sts": near(labels["sts"][:, None] / 5).clamp(0, 1),
        }
    return Finished(Run(CONFIG, inputs), found)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    made = SearchFolder("search", str(tmp_path), tmp_path / "search")
    made.make()
    return made
