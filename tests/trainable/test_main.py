from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.course import SCORE_KEYS
from tests.trainable.data.relatives import write_relative_encoder
from trainable import load
from trainable.__main__ import main
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.loop import Run
from trainable.training.train_file import read_config

SHORT = RunConfig(seed=2, multitask=Multitask(budget_tokens=1500, units=2))


def write(folder: Path, values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.slow
def test_a_config_is_trained_and_its_scores_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write(tmp_path, SHORT.to_dict()))]) == 0
    output = capsys.readouterr()
    for start in ("unit 1/2", "unit 2/2", "confirm"):
        line = next(line for line in output.out.splitlines() if line.startswith(start))
        assert re.findall(r"(\w+) -?\d\.\d{4}", line) == list(SCORE_KEYS)
    assert output.err == ""


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["roberta, vocab.json", "xlm-roberta", "distilbert"])
def test_an_encoder_with_random_weights_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    source = write_relative_encoder(tmp_path / layout, layout)
    config = SHORT.model_copy(update={"encoder": EncoderConfig(source=str(source))})
    assert main([str(write(tmp_path, config.to_dict()))]) == 0
    output = capsys.readouterr().out
    for start in ("unit 1/2", "unit 2/2", "confirm"):
        assert any(line.startswith(start) for line in output.splitlines())
    assert ("has no pretrained pooler" in output) == (layout == "distilbert")


@pytest.mark.slow
def test_it_runs_as_a_module_without_ray(repository: Path, tmp_path: Path) -> None:
    path = write(tmp_path, SHORT.to_dict())
    program = (
        "import runpy, sys; sys.argv[1:] = [sys.argv[1]]; "
        "code = 0\n"
        "try: runpy.run_module('trainable', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert 'ray' not in sys.modules and 'optuna' not in sys.modules\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "confirm" in done.stdout


@pytest.mark.slow
def test_the_model_is_kept_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path, SHORT.to_dict()), tmp_path / "a" / "model"
    assert main([str(path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"the model is in {out}\n")
    assert load(out).predict("sst", ["a film"]).probabilities is not None
    assert main([str(path), "--out", str(out)]) == 2
    assert f"--out {out} is not empty" in capsys.readouterr().err
    assert main([str(path), "--out", str(path)]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_the_example_is_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--example"]) == 0
    text = capsys.readouterr().out
    default = default_run(EncoderConfig(), SampleData())
    assert RunConfig.from_dict(json.loads(text), "example") == default
    path = tmp_path / "config.json"
    path.write_text(text)
    assert read_config(path) == (default, "")


def test_a_best_json_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path, {"schema_version": 1, "run_config": SHORT.to_dict()})
    assert read_config(path) == (SHORT, "")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("{", "not valid JSON"),
        ("[]", "a configuration is a mapping, not []"),
        (json.dumps({**RunConfig().to_dict(), "sed": 1}), "did you mean 'seed'"),
        (json.dumps({"run_config": {"seed": -1}}), "seed"),
        (json.dumps({"run_config": {"seed": 1}}), "is missing; every field must be there"),
    ],
)
def test_a_file_that_is_no_config_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fragment: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}")
    assert fragment in error


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    error = capsys.readouterr().err
    assert "none.json: no such file" in error
    assert "--example" in error


def test_without_a_file_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give a CONFIG, JSON or YAML" in capsys.readouterr().err


def test_a_misspelt_option_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--exmaple"])
    assert caught.value.code == 2
    assert "--example" in capsys.readouterr().err


def test_an_encoder_that_is_not_there_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = SHORT.to_dict()
    values["encoder"]["source"] = "/nowhere"
    assert main([str(write(tmp_path, values))]) == 2
    assert "unknown encoder '/nowhere'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_whose_scores_are_no_numbers_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(run: Run, on_progress: Any) -> dict[str, float]:
        for parameter in run.model.parameters():
            parameter.data.fill_(math.nan)
        run.units += 1
        return {}

    monkeypatch.setattr(Run, "train_unit", diverge)
    out = tmp_path / "model"
    assert main([str(write(tmp_path, SHORT.to_dict())), "--out", str(out)]) == 2
    assert capsys.readouterr().err == "error: score is nan in unit 1\n"
    assert list(out.iterdir()) == []


def test_bytes_that_are_no_text_end_with_status_2(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_config(path)


@pytest.mark.slow
def test_a_yaml_file_with_a_part_is_trained_and_what_it_leaves_out_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("seed: 2\nmultitask:\n  budget_tokens: 1500\n  units: 1\n")
    assert main([str(path)]) == 0
    output = capsys.readouterr()
    assert "confirm" in output.out
    first, *listed = output.err.splitlines()
    assert first == f"{path} leaves out, and these have their defaults:"
    names = {item.split()[0] for item in " ".join(listed).split(", ")}
    assert {"encoder.source", "pair_layer", "multitask.batch_order"} <= names
    assert names & {"seed", "multitask.units", "multitask.budget_tokens", "multitask"} == set()


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["a configuration is a mapping, not None"]),
        ("a: [", ["not valid YAML", "line 1"]),
        ("sed: 1", ["field 'sed': unknown field; did you mean 'seed'?"]),
        ("multitask: {optimization: {lr: fast}}", ["lr", "valid number", "'fast'"]),
        ("encoder: {source: off}", ["encoder.source", "YAML reads yes, no, on and off"]),
        ("pair_layer: {kind: off}", ["pair_layer", "YAML reads yes, no, on and off"]),
        ("schema_version: 99", ["schema_version is 99", "newer version"]),
        ("seed: 1\nseed: 2", ["line 2", "'seed' stands twice"]),
    ],
)
def test_a_yaml_file_that_is_no_config_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fragments: list[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}")
    assert error.count("\n") == 1
    for fragment in fragments:
        assert fragment in error
