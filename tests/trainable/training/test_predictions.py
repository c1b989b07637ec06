from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from tests.course import TASK_NAMES
from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.predictions import (
    LABELLED,
    Found,
    read_compared,
    read_probabilities,
    write_probabilities,
    write_submission,
)

HEADERS: dict[TaskName, str] = {
    "sst": "id \t Predicted_Sentiment \n",
    "para": "id \t Predicted_Is_Paraphrase \n",
    "sts": "id \t Predicted_Similiary \n",
}


def with_test_split(inputs: RunInputs, tasks: tuple[TaskName, ...]) -> RunInputs:
    """Return inputs in which some examples of train have lost their labels."""
    corpus = inputs.corpus
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
    return replace(inputs, corpus=replace(corpus, splits={**corpus.splits, "test": test}))


@pytest.fixture(scope="module")
def run(inputs: RunInputs) -> Run:
    return Run(RunConfig(), with_test_split(inputs, TASK_NAMES))


def predicted(run: Run) -> Found:
    return {split: run.predict(split) for split in (*LABELLED, "test")}


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predictions")
    write_submission(predicted(run), run.inputs.corpus.splits, COURSE, path)
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
    splits = run.inputs.corpus.splits
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


def test_tasks_without_test_examples_have_no_test_file(inputs: RunInputs, tmp_path: Path) -> None:
    run = Run(RunConfig(), with_test_split(inputs, ("sts",)))
    write_submission(predicted(run), run.inputs.corpus.splits, COURSE, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"sts-test-output.csv"} | {f"{task}-dev-output.csv" for task in TASK_NAMES}


def ids_of(run: Run, *splits: str) -> dict[str, dict[TaskName, tuple[str, ...]]]:
    found = run.inputs.corpus.splits
    return {split: {task: found[split][task].ids for task in TASK_NAMES} for split in splits}


@pytest.fixture(scope="module")
def content(run: Run, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("probabilities") / "predictions.safetensors"
    write_probabilities(run, path)
    return path.read_bytes()


def test_probabilities_are_read_back_as_the_run_gives_them(run: Run, content: bytes) -> None:
    found = read_probabilities(content, ids_of(run, *LABELLED), "file")
    assert set(found) == {"select", "confirm"}
    for split, own in found.items():
        expected = run.probabilities(split)
        assert set(own) == set(TASK_NAMES)
        assert {task: rows.shape[1] for task, rows in own.items()} == {
            "sst": 5,
            "para": 1,
            "sts": 1,
        }
        for task, rows in own.items():
            assert rows.dtype == torch.float32
            assert torch.equal(rows, expected[task])
        decided = run.decide(own)
        for task, rows in run.predict(split).items():
            assert torch.equal(decided[task], rows)


def test_what_is_known_is_not_computed_again(run: Run, tmp_path: Path) -> None:
    known: Found = {"test": {"sts": torch.rand(30, 1)}}
    write_probabilities(run, tmp_path / "file", known)
    content = (tmp_path / "file").read_bytes()
    ids = {"test": {"sts": tuple(f"test-{i}" for i in range(30))}}
    assert torch.equal(
        read_probabilities(content, ids, "file")["test"]["sts"], known["test"]["sts"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_what_is_asked_for_is_read(run: Run, content: bytes) -> None:
    ids = {"confirm": {"sst": run.inputs.corpus.splits["confirm"]["sst"].ids}}
    found = read_probabilities(content, ids, "file")
    assert {split: set(own) for split, own in found.items()} == {"confirm": {"sst"}}


def test_probabilities_of_other_examples_are_refused(run: Run, content: bytes) -> None:
    ids = ids_of(run, "select")
    first, second, *rest = ids["select"]["para"]
    for other in ((second, first, *rest), (first, second), (f"{first}{second}", *rest)):
        asked = {"select": {**ids["select"], "para": other}}
        with pytest.raises(InputError, match=r"file: .*para predictions.*select"):
            read_probabilities(content, asked, "file")


@pytest.mark.parametrize("broken", [b"", b"no tensors", None])
def test_a_torn_file_is_refused(run: Run, content: bytes, broken: bytes | None) -> None:
    torn = content[:-100] if broken is None else broken
    with pytest.raises(InputError, match="file: not a whole file of predictions"):
        read_probabilities(torn, ids_of(run, "select"), "file")


def test_a_split_that_was_not_written_is_refused(run: Run, content: bytes) -> None:
    with pytest.raises(InputError, match=r"file: .*test\.sst"):
        read_probabilities(content, ids_of(run, "test"), "file")


def test_writing_leaves_the_model_alone(run: Run, tmp_path: Path) -> None:
    before = {name: t.clone() for name, t in run.model.state_dict().items()}
    write_probabilities(run, tmp_path / "file")
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def without(content: bytes, ending: str) -> bytes:
    """Return the file without the tensors whose names end so."""
    return save({name: own for name, own in load(content).items() if not name.endswith(ending)})


def test_two_runs_are_compared_on_the_examples_and_labels_in_their_files(
    run: Run, content: bytes, tmp_path: Path
) -> None:
    other = {s: {t: 1 - p for t, p in run.probabilities(s).items()} for s in LABELLED}
    write_probabilities(run, tmp_path / "other", other)
    for split in LABELLED:
        both = read_compared((content, (tmp_path / "other").read_bytes()), split, COURSE)
        assert both is not None
        for found, expected in zip(both, (run.probabilities(split), other[split]), strict=True):
            assert set(found) == set(TASK_NAMES)
            for task, (probabilities, labels) in found.items():
                assert torch.equal(probabilities, expected[task])
                assert torch.equal(labels, run.inputs.corpus.splits[split][task].labels)


def test_files_that_do_not_fit_each_other_are_not_compared(run: Run, content: bytes) -> None:
    tensors = load(content)
    torn, older = content[:-100], without(content, ".labels")
    moved = save({**tensors, "select.para.ids": tensors["confirm.para.ids"].clone()})
    fewer = without(without(content, "sts.ids"), ".sts")
    for broken in (torn, b"", older, moved, fewer):
        assert read_compared((content, broken), "select", COURSE) is None
        assert read_compared((broken, content), "select", COURSE) is None
    assert read_compared((content, moved), "confirm", COURSE) is not None
    without_sts = {task: COURSE[task] for task in ("sst", "para")}
    assert read_compared((content, fewer), "select", without_sts) is not None
