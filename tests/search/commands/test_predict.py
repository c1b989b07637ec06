from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from search.commands import predict, retrain
from search.commands.predict import main
from search.report.best import BEST_VERSION, Best
from trainable import load
from trainable.cache.files import write_json
from trainable.data.sample import generate_sample
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE
from trainable.training.inputs import RunInputs

Lines = list[dict[str, Any]]
Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def search(inputs: RunInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search whose best configuration was retrained with two seeds."""
    folder = tmp_path_factory.mktemp("searches") / "search"
    folder.mkdir()
    best = Best(
        schema_version=BEST_VERSION,
        search="search",
        trial=0,
        units=1,
        run_config=RunConfig(multitask=Multitask(budget_tokens=4000, units=1)),
        select={},
        confirm=None,
        data_fingerprint=inputs.corpus.fingerprint,
        versions={},
    )
    write_json(folder / "best.json", best.model_dump(mode="json"))
    assert retrain.main([str(folder), "--seeds", "2", "--ensemble"]) == 0
    return folder


@pytest.fixture(scope="module")
def tests_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a task to a file of its test sentences, as the course's files are."""
    splits = generate_sample(0).splits

    def write(task: str) -> Path:
        table = splits[task]["test"].with_format("arrow")[:].to_pydict()  # type: ignore[index]
        is_pair = any(table["sentence2"])
        names = ["sentence1", "sentence2"] if is_pair else ["sentence"]
        columns = [table["id"], table["sentence1"], *([table["sentence2"]] if is_pair else [])]
        path = tmp_path_factory.mktemp("data") / f"{task}-test-student.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["id", *names])
            writer.writerows(zip(*columns, strict=True))
        return path

    return write


def read(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number(task: str, prediction: Any) -> float:
    """Return a prediction as the submission format has it: the number of the class."""
    classes = COURSE[task].classes
    return float(prediction if classes is None else classes.index(prediction))


def submitted(folder: Path, task: str) -> dict[str, float]:
    lines = (folder / f"{task}-test-output.csv").read_text().splitlines()[1:]
    return {name: float(value) for name, value in (line.split(" , ") for line in lines)}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sst", "para", "sts"])
def test_a_file_is_predicted_as_retraining_did_bit_for_bit(
    search: Path, tests_of: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    moved = Path(shutil.copytree(search / "retrain" / "seed_2", tmp_path / "moved"))
    options = ["--input", str(tests_of(task)), "--task", task]
    out = tmp_path / "out.jsonl"
    assert main([str(moved), *options, "--output", str(out)]) == 0
    rows, written = read(out), load_file(moved / "predictions.safetensors")[f"test.{task}"]
    for row, expected in zip(rows, written, strict=True):
        if task == "sts":
            assert np.float32(row["prediction"]) == expected[0] * np.float32(5)
        else:
            found = np.float32(list(row["probabilities"].values()))
            assert found[-len(expected) :].tolist() == expected.tolist()
    expected = submitted(moved / "predictions", task)
    found = {row["id"]: number(task, row["prediction"]) for row in rows}
    assert found == pytest.approx(expected, abs=0 if task != "sts" else 1e-6)


@pytest.mark.slow
def test_the_folder_of_a_search_is_the_average_of_its_seeds(
    search: Path,
    tests_of: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.jsonl"
    assert main([str(search), "--input", str(tests_of("sst")), "--output", str(out)]) == 0
    assert "200 predictions of sst by the average of seed_1, seed_2" in capsys.readouterr().err
    expected = submitted(search / "retrain" / "ensemble" / "predictions", "sst")
    assert {row["id"]: number("sst", row["prediction"]) for row in read(out)} == expected


@pytest.mark.slow
def test_standard_input_is_answered_line_by_line(search: Path, repository: Path) -> None:
    pairs = [("a film", "a good film"), ("no", "yes"), ("the plot", "the cast")]
    command = [sys.executable, "search/predict.py", str(search), "--task", "para"]
    with subprocess.Popen(
        command,
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = []
        for number, pair in enumerate(pairs):
            process.stdin.write("\t".join(pair) + ("" if number == 2 else "\n"))
            process.stdin.flush()
            if number == 0:
                assert process.stdout.readline() == (
                    "id\tprediction\tprobability no paraphrase\tprobability paraphrase\n"
                )
            if number < 2:  # the answer is there before the next question
                lines.append(process.stdout.readline())
        rest, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    rows = list(csv.reader(io.StringIO("".join([*lines, rest])), delimiter="\t"))
    expected = load(search).predict("para", pairs)
    assert [row[:2] for row in rows] == [[str(i), expected.labels[i]] for i in range(3)]
    assert expected.probabilities is not None
    shares = np.array([row[2:] for row in rows], np.float32)
    np.testing.assert_allclose(shares, expected.probabilities.numpy(), atol=1e-6)
    assert "3 predictions of para" in error


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return a function that gives arguments that must be refused, and returns the error line."""

    def refuse(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
        return output.err

    return refuse


def test_what_is_wrong_is_said_before_torch_is_needed(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trainable.trained_model", None)
    (tmp_path / "run").mkdir()
    good = tmp_path / "good.tsv"
    good.write_text("sentence\na\n")
    run, given = tmp_path / "run", ("--input", good)
    for arguments, fragment in (
        ((tmp_path / "no", *given), "is not there"),
        ((good, *given), "is a file"),
        (("s3://b/run", *given), "is not on this machine"),
        ((run, "--input", tmp_path / "no.tsv"), "cannot read"),
        ((run, *given, "--output", tmp_path / "x.txt"), "the suffix '.txt' is not known"),
        ((run, *given, "--output", tmp_path / "no" / "x.tsv"), "there is no folder"),
        ((run, *given, "--output", good), "is the input"),
    ):
        assert fragment in refusal(*arguments), arguments
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "name").mkdir(parents=True)
    (tmp_path / "runs" / "name" / "events.jsonl").touch()
    assert refusal("name", *given).endswith("name is not there; did you mean runs/name?\n")
    monkeypatch.setattr(predict.os, "access", lambda path, mode: False)
    assert f"may not write to {tmp_path}" in refusal(run, *given, "--output", tmp_path / "x.tsv")


@pytest.mark.slow
def test_a_task_that_does_not_fit_is_refused(
    search: Path, tmp_path: Path, refusal: Refusal, tests_of: Callable[[str], Path]
) -> None:
    one, pairs = tests_of("sst"), tests_of("sts")
    assert "choose by --task: para, sts" in refusal(search, "--input", pairs)
    assert "did you mean 'sts'" in refusal(search, "--input", pairs, "--task", "stss")
    assert "sentence or text" in refusal(search, "--input", pairs, "--task", "sst")
    assert "sentence1 and sentence2" in refusal(search, "--input", one, "--task", "sts")
    assert "several tasks" in refusal(search)
    assert "'gpu' cannot be used" in refusal(search, "--input", one, "--device", "gpu")


class _Stdin:
    """Standard input with this content."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "content", "n_answers", "fragment"),
    [
        ("sst", b"a\tb\n", 0, "line 1: 'a\\tb' has 1 tabs; sst needs one sentence"),
        ("para", b"a\tb\r\na\n", 1, "line 2: 'a' has 0 tabs; para needs two sentences"),
        ("para", b"a\t \n", 0, "line 1: 'a\\t ' has an empty sentence"),
        ("sst", b"a\n\nb\n\xff\nc\n", 2, "line 4 is not UTF-8"),
    ],
)
def test_a_line_that_is_wrong_is_named_after_the_answers_of_those_before(
    search: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    task: str,
    content: bytes,
    n_answers: int,
    fragment: str,
) -> None:
    monkeypatch.setattr(predict.sys, "stdin", _Stdin(content))
    assert main([str(search), "--task", task]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert fragment in output.err
    ids = [line.split("\t")[0] for line in output.out.splitlines()]
    assert ids == (["id", *map(str, range(n_answers))] if n_answers else [])


@pytest.mark.slow
def test_blank_lines_of_standard_input_are_skipped_as_those_of_a_file(
    search: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict.sys, "stdin", _Stdin(b"\na\n \r\nb\n\n"))
    assert main([str(search), "--task", "sst"]) == 0
    output = capsys.readouterr()
    assert [line.split("\t")[0] for line in output.out.splitlines()] == ["id", "0", "1"]
    assert "2 predictions of sst" in output.err
