from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainable.loop import Run
from trainable.predictions import write_predictions
from trainable.run_config import RunConfig
from trainable.tasks import TASK_NAMES, TaskName
from trainable.workbench import Workbench

HEADERS: dict[TaskName, str] = {
    "sst": "id \t Predicted_Sentiment \n",
    "para": "id \t Predicted_Is_Paraphrase \n",
    "sts": "id \t Predicted_Similiary \n",
}


def with_test_split(workbench: Workbench, tasks: tuple[TaskName, ...]) -> Workbench:
    """Return a workbench in which some examples of train have lost their labels."""
    corpus = copy.copy(workbench.corpus)
    test = {
        task: replace(
            rows,
            starts=rows.starts[:, :30],
            lengths=rows.lengths[:, :30],
            labels=None,
            ids=tuple(f"test-{i}" for i in range(30)),
        )
        for task, rows in corpus.splits["train"].items()
        if task in tasks
    }
    corpus.splits = {**corpus.splits, "test": test}
    return replace(workbench, corpus=corpus)


@pytest.fixture(scope="module")
def run(workbench: Workbench) -> Run:
    return Run(RunConfig(), with_test_split(workbench, TASK_NAMES))


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predictions")
    write_predictions(run, path)
    return path


def rows(path: Path) -> dict[str, str]:
    """Return id -> value of a file, and check its form."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found: dict[str, str] = {}
    for line in lines[1:]:
        name, value = line.split(" , ")
        assert value.endswith(" \n")
        assert name not in found
        found[name] = value.removesuffix(" \n")
    return found


def test_there_is_a_file_for_each_task_and_split(folder: Path) -> None:
    expected = {f"{task}-{split}-output.csv" for task in TASK_NAMES for split in ("dev", "test")}
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize("task", TASK_NAMES)
def test_files_begin_with_the_course_header(folder: Path, task: TaskName) -> None:
    for split in ("dev", "test"):
        text = (folder / f"{task}-{split}-output.csv").read_text(encoding="utf-8")
        assert text.startswith(HEADERS[task])


@pytest.mark.parametrize("task", TASK_NAMES)
def test_dev_has_both_halves_and_every_example_its_own_prediction(
    run: Run, folder: Path, task: TaskName
) -> None:
    found = rows(folder / f"{task}-dev-output.csv")
    splits = run.workbench.corpus.splits
    ids = (*splits["select"][task].ids, *splits["confirm"][task].ids)
    assert list(found) == list(ids)
    for split in ("select", "confirm"):
        values = run.predict(split)[task].tolist()
        for name, value in zip(splits[split][task].ids, values, strict=True):
            assert float(found[name]) == value


@pytest.mark.parametrize("task", TASK_NAMES)
def test_test_has_every_example_once(folder: Path, task: TaskName) -> None:
    found = rows(folder / f"{task}-test-output.csv")
    assert set(found) == {f"test-{i}" for i in range(30)}


def test_classes_are_whole_numbers_and_similarities_within_their_range(folder: Path) -> None:
    assert set(rows(folder / "sst-dev-output.csv").values()) <= set("01234")
    assert {float(v) for v in rows(folder / "para-dev-output.csv").values()} <= {0.0, 1.0}
    assert all(0 <= float(v) <= 5 for v in rows(folder / "sts-dev-output.csv").values())


def test_tasks_without_test_examples_have_no_test_file(
    workbench: Workbench, tmp_path: Path
) -> None:
    write_predictions(Run(RunConfig(), with_test_split(workbench, ("sts",))), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"sts-test-output.csv"} | {f"{task}-dev-output.csv" for task in TASK_NAMES}


def test_writing_predictions_leaves_the_model_alone(run: Run, tmp_path: Path) -> None:
    before = {name: t.clone() for name, t in run.model.state_dict().items()}
    write_predictions(run, tmp_path)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
