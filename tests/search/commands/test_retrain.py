from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from search.commands.retrain import main
from search.report.best import BEST_VERSION, Best
from trainable.cache.files import write_json
from trainable.metrics import SCORE_KEYS
from trainable.model.pairs import ParaCosine
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import ParaTask
from trainable.tasks import TASK_NAMES
from trainable.training.inputs import RunInputs

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
    folder = tmp_path_factory.mktemp("files")
    cosine = RunConfig(multitask=STAGE, para=ParaTask(pair=ParaCosine(threshold=0.8)))
    paths = [write_best(folder / "a.json"), write_best(folder / "b.json", run_config=cosine)]
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
        assert retrained["best"]["run_config"]["para"]["pair"]["kind"] == kind
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
    write_best: WriteBest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_best(tmp_path / "best.json")
    assert main([str(path), "--seeds", "2", "--ensemble", "--train-on", "train+dev"]) == 0
    assert "nothing left to score on" in capsys.readouterr().out
    out = tmp_path / "retrain"
    assert {path.name for path in out.iterdir()} == {
        *("retrain.json", "seed_1", "seed_2", "ensemble")
    }
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


@pytest.mark.parametrize("name", ["ensemble.json", "best_2/retrain.json"])
def test_an_earlier_ensemble_is_not_written_over(
    write_best: WriteBest, tmp_path: Path, refusal: Callable[..., str], name: str
) -> None:
    paths = [write_best(tmp_path / "a.json"), write_best(tmp_path / "b.json")]
    (tmp_path / "retrain" / "best_2").mkdir(parents=True)
    (tmp_path / "retrain" / name).write_text("{}")
    assert "choose another --out" in refusal(*paths, "--ensemble")
