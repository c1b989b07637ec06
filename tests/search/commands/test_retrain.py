from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from search.commands.retrain import main
from search.commands.retrain_options import RetrainOptions, check_out
from search.log.folder import EVENTS
from search.report.best import BEST_VERSION, Best, read_best
from search.report.retrain_json import Retraining
from tests.course import SCORE_KEYS, TASK_NAMES
from trainable.cache.files import write_json
from trainable.model.pairs import DecisionCosine, JointPair
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import PairDecision
from trainable.training import trained_run
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.step import MultitaskTraining

WriteBest = Callable[..., Path]
STAGE = Multitask(budget_tokens=4000, units=1)


@pytest.fixture(scope="module")
def write_best(inputs: RunInputs) -> WriteBest:
    """Return a function that writes the best.json of a search whose runs take a second."""

    def write(path: Path, **changes: Any) -> Path:
        values: dict[str, Any] = {
            "schema_version": BEST_VERSION,
            "search": "search",
            "trial": 0,
            "units": 1,
            "run_config": RunConfig(multitask=STAGE),
            "select": {},
            "confirm": None,
            "data_fingerprint": inputs.corpus.fingerprint,
            "versions": {},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, Best.model_validate(values | changes).model_dump(mode="json"))
        return path

    return write


@pytest.fixture(scope="module")
def two_seeds(write_best: WriteBest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an ensemble of two seeds of one configuration."""
    path = write_best(tmp_path_factory.mktemp("seeds") / "best.json")
    assert main([str(path), "--seeds", "2", "--ensemble"]) == 0
    return path.parent / "retrain"


@pytest.fixture(scope="module")
def two_files(write_best: WriteBest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an ensemble of two configurations; paraphrase has a threshold in one."""
    folder = tmp_path_factory.mktemp("files") / "[/not] $mark'up"
    cosine, joint = (
        RunConfig(multitask=STAGE, tasks={"para": PairDecision(pair=pair)})
        for pair in (DecisionCosine(threshold=0.8), JointPair())
    )
    paths = [
        write_best(folder / "a.json", run_config=joint),
        write_best(folder / "b.json", run_config=cosine),
    ]
    out = folder / "out"
    assert main([*map(str, paths), "--seeds", "1", "--ensemble", "--out", str(out)]) == 0
    return out


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def submitted(folder: Path, task: str, split: str) -> dict[str, float]:
    lines = (folder / f"{task}-{split}-output.csv").read_text().splitlines()[1:]
    return {name: float(value) for name, value in (line.split(" , ") for line in lines)}


def averaged(folders: list[Path], split: str, task: str) -> Any:
    files = [load_file(folder / "predictions.safetensors") for folder in folders]
    return np.mean([file[f"{split}.{task}"].astype(float) for file in files], axis=0)


@pytest.mark.slow
def test_members_of_an_ensemble_are_the_retrained_seeds(two_seeds: Path) -> None:
    retrained, ensemble = read(two_seeds / "retrain.json"), read(two_seeds / "ensemble.json")
    assert set(ensemble["splits"]) == {"select", "confirm"}
    for split, own in ensemble["splits"].items():
        assert own["members"] == {f"seed {s}": retrained["seeds"][str(s)][split] for s in (1, 2)}
        for key in SCORE_KEYS:
            assert own["mean"][key] == pytest.approx(retrained["summary"][split][key]["mean"])
    assert retrained["seeds"]["1"] != retrained["seeds"]["2"]


@pytest.mark.slow
def test_the_ensemble_is_what_its_predictions_score(two_seeds: Path, inputs: RunInputs) -> None:
    folders = [two_seeds / "seed_1", two_seeds / "seed_2"]
    found = read(two_seeds / "ensemble.json")["splits"]
    for split in ("select", "confirm"):
        labels = {t: inputs.corpus.splits[split][t].labels.numpy() for t in TASK_NAMES}
        means = {task: averaged(folders, split, task) for task in TASK_NAMES}
        expected = {
            "sst_acc": np.mean(means["sst"].argmax(1) == labels["sst"]),
            "para_acc": np.mean((means["para"][:, 0] >= 0.5) == labels["para"]),
            "sts_corr": np.corrcoef(means["sts"][:, 0], labels["sts"])[0, 1],
        }
        for key, value in expected.items():
            assert found[split]["ensemble"][key] == pytest.approx(value, abs=1e-6)


@pytest.mark.slow
def test_predictions_of_the_ensemble_are_submitted(two_seeds: Path, inputs: RunInputs) -> None:
    folders = [two_seeds / "seed_1", two_seeds / "seed_2"]
    for split, sources in (("dev", ("select", "confirm")), ("test", ("test",))):
        for task in TASK_NAMES:
            found = submitted(two_seeds / "ensemble" / "predictions", task, split)
            parts = [averaged(folders, source, task) for source in sources]
            values = np.concatenate(parts)
            if task == "sst":
                expected = values.argmax(1)
            elif task == "para":
                expected = values[:, 0] >= 0.5
            else:
                expected = 5 * values[:, 0]
            splits = inputs.corpus.splits
            assert list(found) == [i for source in sources for i in splits[source][task].ids]
            assert list(found.values()) == pytest.approx(expected.astype(float), abs=1e-5)


@pytest.mark.slow
def test_each_configuration_has_its_own_folder(two_files: Path) -> None:
    assert {path.name for path in two_files.iterdir()} == {
        *("best_1", "best_2", "ensemble", "ensemble.json")
    }
    for name, kind in (("best_1", "joint"), ("best_2", "cosine")):
        retrained = read(two_files / name / "retrain.json")
        assert retrained["best"]["run_config"]["tasks"]["para"]["pair"]["kind"] == kind
        assert (two_files / name / "seed_1" / "encoder" / "model.safetensors").is_file()
    members = read(two_files / "ensemble.json")["splits"]["confirm"]["members"]
    scores = [read(two_files / f"best_{k}" / "retrain.json")["seeds"]["1"] for k in (1, 2)]
    assert list(members.values()) == [own["confirm"] for own in scores]
    assert [name.endswith(f"{k}.json, seed 1") for name, k in zip(members, "ab", strict=True)]


@pytest.mark.slow
def test_thresholds_are_averaged_like_scores(two_files: Path) -> None:
    folders = [two_files / "best_1" / "seed_1", two_files / "best_2" / "seed_1"]
    found = submitted(two_files / "ensemble" / "predictions", "para", "test")
    expected = averaged(folders, "test", "para")[:, 0] >= (0.5 + 0.8) / 2
    assert list(found.values()) == expected.astype(float).tolist()


@pytest.mark.slow
def test_without_labels_an_ensemble_has_predictions_only(
    write_best: WriteBest, two_seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_best(tmp_path / "best.json")
    assert main([str(path), "--seeds", "2", "--ensemble", "--train-on", "train+dev"]) == 0
    assert "nothing left to score on" in capsys.readouterr().out
    out = tmp_path / "retrain"
    assert {path.name for path in out.iterdir()} == {
        *("retrain.json", "seed_1", "seed_2", "ensemble")
    }
    own, other = [folder / "seed_1" / "predictions.safetensors" for folder in (out, two_seeds)]
    assert own.read_bytes() != other.read_bytes(), "dev was trained on"
    names = {f"{task}-{split}-output.csv" for task in TASK_NAMES for split in ("dev", "test")}
    assert {path.name for path in (out / "ensemble" / "predictions").iterdir()} == names


@pytest.mark.slow
def test_without_the_option_nothing_is_averaged(
    write_best: WriteBest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_best(tmp_path / "best.json", data_fingerprint="0" * 16)
    assert main([str(path), "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "the data are not those of the search" in printed
    assert "ensemble" not in printed
    assert {p.name for p in (tmp_path / "retrain").iterdir()} == {"retrain.json", "seed_1"}


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a retraining that must be refused, and returns the error."""

    def refuse(*arguments: str | Path) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main([str(argument) for argument in arguments]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        output = capsys.readouterr()
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
        return output.err

    return refuse


def test_runs_over_different_data_are_not_averaged(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    paths = [
        write_best(tmp_path / "a.json"),
        write_best(tmp_path / "b.json", data_fingerprint="0" * 16),
    ]
    error = refusal(*paths, "--ensemble")
    assert str(paths[1]) in error
    assert "0" * 16 in error
    assert "same examples" in error


def test_data_that_came_apart_since_the_searches_are_not_averaged(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    other = RunConfig.from_dict(
        {**RunConfig(multitask=STAGE).to_dict(), "data": {"kind": "sample", "seed": 1}}, "test"
    )
    paths = [write_best(tmp_path / "a.json"), write_best(tmp_path / "b.json", run_config=other)]
    assert "the data have changed since the searches" in refusal(*paths, "--ensemble")


def test_several_files_are_for_an_ensemble(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    paths = [write_best(tmp_path / "a.json"), write_best(tmp_path / "b.json")]
    assert "add --ensemble" in refusal(*paths)
    assert "given twice" in refusal(paths[0], paths[0], "--ensemble")


def test_an_ensemble_of_one_run_is_refused(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = write_best(tmp_path / "best.json")
    assert "at least two runs" in refusal(path, "--ensemble", "--seeds", "1")


@pytest.mark.slow
def test_two_retrainings_at_once_do_not_write_to_one_folder(
    write_best: WriteBest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Callable[..., str],
) -> None:
    path, errors = write_best(tmp_path / "best.json"), list[str]()
    on_step(monkeypatch, 1, lambda: errors.append(refusal(path, "--seeds", "1")))
    assert main([str(path), "--seeds", "1"]) == 0
    assert len(errors) == 1
    assert f"{tmp_path / 'retrain'}: another retraining writes to this folder" in errors[0]
    assert not (tmp_path / "retrain" / ".lock").exists()


@pytest.mark.parametrize("name", ["ensemble.json", "best_2/retrain.json"])
def test_an_earlier_ensemble_is_not_written_over(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str], name: str
) -> None:
    paths = [write_best(tmp_path / "a.json"), write_best(tmp_path / "b.json")]
    (tmp_path / "retrain" / "best_2").mkdir(parents=True)
    (tmp_path / "retrain" / name).write_text("{}")
    assert "choose another --out" in refusal(*paths, "--ensemble")


@pytest.mark.parametrize("name", ["run_config.json", "encoder/config.json", "best.json"])
def test_a_folder_that_no_retraining_wrote_is_refused(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str], name: str
) -> None:
    path, other = write_best(tmp_path / "best.json"), tmp_path / "model" / name
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    error = refusal(path, "--out", tmp_path / "model")
    assert f"--out {tmp_path / 'model'} is not empty, and no retraining wrote it" in error


@pytest.mark.parametrize("name", [None, ".lock", ".retrain.json.7.tmp", "seed_1/x", "best_1/x"])
def test_a_folder_that_a_kill_left_is_not_refused(tmp_path: Path, name: str | None) -> None:
    (tmp_path / (name or ".")).parent.mkdir(exist_ok=True)
    if name is not None:
        (tmp_path / name).touch()
    check_out(RetrainOptions("best.json"), tmp_path)
    check_out(RetrainOptions("best.json"), tmp_path / "new")


# To go on with a retraining.

TWO_UNITS = RunConfig(multitask=Multitask(budget_tokens=4000, units=2))


class Killed(BaseException):
    """As SIGKILL: nothing that follows it is done."""


@pytest.fixture(scope="module")
def whole(write_best: WriteBest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a retraining with one seed that nothing interrupted."""
    path = write_best(tmp_path_factory.mktemp("whole") / "best.json", run_config=TWO_UNITS)
    assert main([str(path), "--seeds", "1"]) == 0
    assert {path.name for path in (path.parent / "retrain" / "seed_1").iterdir()} == {
        *("encoder", "heads.safetensors", "run_config.json", "predictions"),
        "predictions.safetensors",
    }
    return path.parent / "retrain"


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def on_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], None]) -> list[int]:
    """Do something after a step, and return a list that grows with every step."""
    steps: list[int] = []
    step = MultitaskTraining.step

    def counted(training: MultitaskTraining) -> Any:
        losses = step(training)
        steps.append(training.steps)
        if len(steps) == number:
            action()
        return losses

    monkeypatch.setattr(MultitaskTraining, "step", counted)
    return steps


def checkpoints(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if "checkpoint" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_every_step_and_the_same_command_goes_on_bit_for_bit(
    write_best: WriteBest,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    path, out = write_best(tmp_path / "best.json", run_config=TWO_UNITS), tmp_path / "retrain"
    before = signal.getsignal(number)
    steps = on_step(monkeypatch, 2, lambda: signal.raise_signal(number))
    assert main([str(path), "--seeds", "1"]) == 130
    assert steps == [1, 2]
    assert signal.getsignal(number) is before
    said = f"stopping after this step; what is trained so far is kept in {out}"
    printed = capfd.readouterr()
    assert printed.err == f"{said} (again to stop now)\n"
    assert printed.out.endswith("stopped; the same command goes on\n")
    assert read(out / "retrain.json")["seeds"] == {}
    assert checkpoints(out / "seed_1") == ["checkpoint_000000_000000002"]
    assert main([str(path), "--seeds", "1"]) == 0
    assert "seed 1 goes on after unit 0 of 2, step 2" in capfd.readouterr().out
    assert steps == list(range(1, steps[-1] + 1))
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_without_a_terminal_each_unit_and_each_seed_is_told_when_it_ends(
    write_best: WriteBest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_best(tmp_path / "best.json", run_config=TWO_UNITS)
    assert main([str(path), "--seeds", "1"]) == 0
    own = [line for line in capsys.readouterr().out.splitlines() if line.startswith("seed 1: ")]
    losses = r"  sst_loss \d\.\d{4}  para_loss \d\.\d{4}  sts_loss \d\.\d{4}"
    patterns = [f"unit 1/2{losses}", f"unit 2/2{losses}"]
    patterns += [rf"{split}  score -?\d\.\d{{4}}  .*" for split in ("select", "confirm")]
    lines = [line for line in own if "━" not in line]  # the bar as it ends
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(f"seed 1: {pattern}", line)


@pytest.mark.slow
def test_a_kill_loses_no_unit(
    write_best: WriteBest, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_best(tmp_path / "best.json", run_config=TWO_UNITS), tmp_path / "retrain"

    def kill(*arguments: object) -> None:
        raise Killed

    for module, name in ((Run, "_finish"), (trained_run, "write_heads")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, kill)
            with pytest.raises(Killed):
                main([str(path), "--seeds", "1"])
    (left,) = checkpoints(out / "seed_1")
    assert left.startswith("checkpoint_000002_")
    steps = on_step(monkeypatch, 0, lambda: None)
    assert main([str(path), "--seeds", "1"]) == 0
    assert steps == []
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_a_torn_checkpoint_is_said_and_not_used(
    write_best: WriteBest,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = write_best(tmp_path / "best.json", run_config=TWO_UNITS), tmp_path / "retrain"
    with monkeypatch.context() as patch:
        on_step(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        assert main([str(path), "--seeds", "1"]) == 130
    (state,) = out.glob("seed_1/checkpoint_*/state.safetensors")
    state.write_bytes(state.read_bytes()[:-1])
    assert main([str(path), "--seeds", "1"]) == 0
    assert "not whole" in capsys.readouterr().out
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_more_seeds_are_added_to_those_that_are_there(
    write_best: WriteBest,
    two_seeds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = write_best(tmp_path / "best.json"), tmp_path / "retrain"
    assert main([str(path), "--seeds", "1"]) == 0
    first = contents(out / "seed_1")
    nodes = {file: file.stat().st_ino for file in (out / "seed_1").rglob("*")}
    assert main([str(path), "--seeds", "2", "--ensemble"]) == 0
    assert {file: file.stat().st_ino for file in nodes} == nodes
    assert contents(out / "seed_1") == first
    assert contents(out) == contents(two_seeds)
    # All of it is there: nothing is trained any more, and the answer is the same.
    steps = on_step(monkeypatch, 0, lambda: None)
    assert main([str(path), "--seeds", "2", "--ensemble"]) == 0
    assert steps == []
    assert contents(out) == contents(two_seeds)
    # An ensemble of all that there is stays right without the option, until a run is added.
    assert main([str(path), "--seeds", "2"]) == 0
    assert steps == []
    assert contents(out) == contents(two_seeds)
    assert main([str(path), "--seeds", "3"]) == 2
    assert "would not be of all runs any more" in capsys.readouterr().err


@pytest.mark.slow
def test_a_seed_whose_predictions_were_deleted_is_trained_again(
    write_best: WriteBest, two_seeds: Path, tmp_path: Path
) -> None:
    path, out = write_best(tmp_path / "best.json"), tmp_path / "retrain"
    shutil.copytree(two_seeds, out)
    shutil.rmtree(out / "seed_1")
    assert main([str(path), "--seeds", "2", "--ensemble"]) == 0
    assert contents(out) == contents(two_seeds)


def begun(path: Path, out: Path, **changes: Any) -> None:
    """Write a retrain.json with two seeds."""
    best = read_best(path)
    out.mkdir(parents=True)
    scores = {split: dict.fromkeys(SCORE_KEYS, 0.5) for split in ("select", "confirm")}
    fields = {"best": best, "train_on": "train", "data_fingerprint": best.data_fingerprint}
    Retraining(**{**fields, **changes}).write(out, {1: scores, 2: scores})


@pytest.mark.parametrize(
    ("changes", "options", "fragments"),
    [
        ({}, ["--train-on", "train+dev"], ["train_on is 'train'", "now it is 'train+dev'"]),
        ({"train_on": "train+dev"}, [], ["train_on is 'train+dev'", "now it is 'train'"]),
        ({"data_fingerprint": "0" * 16}, [], [f"data_fingerprint is '{'0' * 16}'"]),
        ({}, ["--seeds", "1"], ["--seeds 1", "has 2 seeds", "at least 2"]),
    ],
)
def test_another_retraining_is_refused_with_what_differs(
    write_best: WriteBest,
    tmp_path: Path,
    refusal: Callable[..., str],
    changes: dict[str, Any],
    options: list[str],
    fragments: list[str],
) -> None:
    path = write_best(tmp_path / "best.json")
    begun(path, tmp_path / "retrain", **changes)
    error = refusal(path, *options)
    for fragment in [*fragments, str(tmp_path / "retrain"), "choose another --out"]:
        assert fragment in error


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"trial": 7}, "best.trial is 0, now it is 7"),
        ({"run_config": TWO_UNITS}, "best.run_config.multitask.units is 1, now it is 2"),
        ({"select": {"score": 0.5}}, "best.select.score is None, now it is 0.5"),
        ({"versions": {"torch": "9"}}, "best.versions.torch is None, now it is '9'"),
    ],
)
def test_another_best_json_is_refused_with_what_differs(
    write_best: WriteBest,
    tmp_path: Path,
    refusal: Callable[..., str],
    changes: dict[str, Any],
    fragment: str,
) -> None:
    path = write_best(tmp_path / "best.json")
    begun(path, tmp_path / "retrain")
    write_best(path, **changes)
    assert fragment in refusal(path)


@pytest.mark.parametrize("text", ["", "[]", '{"best": {}}', "torn"])
def test_a_retrain_json_that_is_not_right_is_refused(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str], text: str
) -> None:
    path = write_best(tmp_path / "best.json")
    (tmp_path / "retrain").mkdir()
    (tmp_path / "retrain" / "retrain.json").write_text(text)
    error = refusal(path)
    assert "retrain.json" in error
    assert "choose another --out" in error


def test_results_of_other_files_are_not_mixed(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    a, b = (write_best(tmp_path / name, trial=k) for k, name in enumerate(("a.json", "b.json")))
    begun(a, tmp_path / "one")
    assert "other BEST.json files" in refusal(a, b, "--ensemble", "--out", tmp_path / "one")
    for k, path in enumerate((a, b), 1):
        begun(path, tmp_path / "two" / f"best_{k}")
    assert "other BEST.json files" in refusal(a, "--out", tmp_path / "two")
    assert "best.trial is 0, now it is 1" in refusal(b, a, "--ensemble", "--out", tmp_path / "two")
    (tmp_path / "one" / "ensemble").mkdir()
    assert "add --ensemble" in refusal(a, "--out", tmp_path / "one")


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(
    write_best: WriteBest, tmp_path: Path, repository: Path
) -> None:
    long = RunConfig(multitask=Multitask(budget_tokens=4_000_000, units=9))
    path = write_best(tmp_path / "best.json", run_config=long)
    command = [sys.executable, str(repository / "search" / "retrain.py"), str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "retrain" / "seed_1" / "predictions").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping after this step" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, error) == ("", "")


# What is given: a file, a folder, or a URI.


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_folder_of_a_search_is_enough(
    write_best: WriteBest,
    tmp_path: Path,
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write_best(tmp_path / "a search" / "best.json")
    (tmp_path / "a search" / EVENTS).write_text("")
    given = f"{scheme}{tmp_path}/a search"
    if scheme:
        assert main([given, "--seeds", "1"]) == 2
        assert "--out" in capsys.readouterr().err
    out = tmp_path / "out" if scheme else tmp_path / "a search" / "retrain"
    options = ["--out", str(out)] if scheme else []
    assert main([given, "--seeds", "1", *options]) == 0
    assert set(read(out / "retrain.json")["seeds"]) == {"1"}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_search_without_a_best_json_is_told_how_to_write_it(
    tmp_path: Path, refusal: Callable[..., str], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "a search").mkdir()
    (tmp_path / "a search" / EVENTS).write_text("")
    given = f"{scheme}{tmp_path}/a search"
    assert f"python search/export.py '{given}' writes it" in refusal(given)


def test_a_folder_that_is_no_search_is_not_told_to_export(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    (tmp_path / "other").mkdir()
    error = refusal(tmp_path / "other")
    assert error.endswith("best.json: no such file; give the best.json of a search\n")


def test_a_search_that_is_not_there_is_named(tmp_path: Path, refusal: Callable[..., str]) -> None:
    assert "there is no search 'b'" in refusal(f"file://{tmp_path}/a/b")
    assert "no such file" in refusal(tmp_path / "a" / "best.json")
