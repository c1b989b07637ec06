"""Trained runs in folders of their own, and the sentences that they were evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainable.batch_orders.all_tasks import LockStep
from trainable.data.sample import generate_sample
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.trained_run import write_trained

STAGE = Multitask(batch_order=LockStep(batch_size=8), budget_tokens=1500, units=1)
Trained = Callable[..., tuple[Run, Path]]
Asked = Callable[[Run, str, str], list[Any]]


@pytest.fixture(scope="session")
def trained(inputs: RunInputs, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function from changes of the default RunConfig to a trained run and its folder."""

    def make(**changes: Any) -> tuple[Run, Path]:
        run = Run(RunConfig(multitask=STAGE, **changes), inputs)
        run.train_unit()
        run.model.eval()
        folder = tmp_path_factory.mktemp("run")
        write_trained(run, folder)
        return run, folder

    return make


@pytest.fixture(scope="session")
def asked() -> Asked:
    """Return a function from run, split and task to the sentences or pairs, in their order."""
    by_id: dict[str, dict[str, dict[str, tuple[str, str]]]] = {"dev": {}, "test": {}}
    for task, splits in generate_sample(0).splits.items():
        for split, own in by_id.items():
            table = splits[split].with_format("arrow")[:].to_pydict()
            pairs = zip(table["sentence1"], table["sentence2"], strict=True)
            own[task] = dict(zip(table["id"], pairs, strict=True))

    def sentences(run: Run, split: str, task: str) -> list[Any]:
        rows = run.inputs.corpus.splits[split][task]  # type: ignore[index]
        known = by_id["test" if split == "test" else "dev"][task]
        found = [known[name] for name in rows.ids]
        return found if rows.starts.shape[0] == 2 else [first for first, _ in found]

    return sentences
