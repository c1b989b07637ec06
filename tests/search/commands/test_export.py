from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from search.commands.export import main
from search.log.events import VERSION, EventLog, new_event
from search.log.folder import EVENTS, SearchFolder
from search.log.history import History, Journal
from search.planning.resume import versions
from search.report.best import read_best
from tests.course import SCORE_KEYS
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

LR = "multitask.optimization.lr"


@pytest.fixture(autouse=True)
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has nothing of the search yet."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with a search `s` of two trials, of which only the log is left."""
    folder = tmp_path / "store" / "s"
    folder.mkdir(parents=True)
    journal = Journal(History(), EventLog(folder / EVENTS))
    journal.write(
        "search",
        version=VERSION,
        options={"data": "sample"},
        n_trials=2,
        rungs=[1],
        units=1,
        slots=1,
        space={LR: {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "parents": []}},
        versions=versions() | {"python": "3.11.99"},
        data_fingerprint="0123",
    )
    config = RunConfig(multitask=Multitask(budget_tokens=4000, units=1)).to_dict()
    for trial, score in enumerate((0.4, 0.6)):
        origin = "random" if trial else "default"
        own = {"params": {LR: 1e-3}, "run_config": config, "bracket": 0, "origin": origin}
        journal.write("suggested", trial=trial, **own)
        journal.write("started", trial=trial, id="ab", unit=0)
        metrics = {**dict.fromkeys(SCORE_KEYS, score), "tokens": 4000}
        journal.write("reported", trial=trial, unit=1, metrics=metrics, failure="")
        journal.write("ended", trial=trial, status="done", error=None)
    return folder.parent


def check(folder: Path) -> None:
    """Check that both results are there, and say what the log says."""
    best = read_best(folder / "best.json")
    assert (best.search, best.trial, best.units) == ("s", 1, 1)
    assert best.select == dict.fromkeys(SCORE_KEYS, 0.6)
    assert (best.data_fingerprint, best.versions["python"]) == ("0123", "3.11.99")
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [(row["trial"], row["score"], row[LR]) for row in rows] == [
        ("1", "0.6", "0.001"),
        ("0", "0.4", "0.001"),
    ]
    check_curves(folder)


def check_curves(folder: Path) -> None:
    """Check that TensorBoard finds what the log says."""
    for trial, score in enumerate((0.4, 0.6)):
        files = EventAccumulator(str(folder / "tensorboard" / f"trial_000{trial}")).Reload()
        points = [(point.step, point.value) for point in files.Scalars("score/score")]
        assert points == [(4000, pytest.approx(score))]
        assert "_hparams_/session_start_info" in files.summary_metadata


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_results_are_written_where_the_search_is(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["s", "--storage", str(storage)]) == 0
    check(storage / "s")
    assert names(storage / "s") == {EVENTS, "best.json", "trials.csv", "report.html", "tensorboard"}
    assert f"of 2 trials are in {storage / 's'}" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["{}/s", "{}/s/", "file://{}/s", "./s", "../store/s"])
def test_the_folder_or_uri_of_a_search_is_enough(
    storage: Path, given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(storage)
    assert main([given.format(storage)]) == 0
    check(storage / "s")
    assert main([f"{given.format(storage).rstrip('/')}s", "--storage", "/nowhere"]) == 2
    assert "there is no search 'ss'" in capsys.readouterr().err


def test_results_of_a_remote_search_are_written_there(storage: Path) -> None:
    log = (storage / "s" / EVENTS).read_bytes()
    assert main(["s", "--storage", f"file://{storage}"]) == 0
    check(storage / "s")
    assert (storage / "s" / EVENTS).read_bytes() == log


def test_an_export_leaves_the_log_to_the_driver(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver on another machine copies more of it while results are written."""
    log, publish = storage / "s" / EVENTS, SearchFolder.publish

    def late(folder: SearchFolder, *names: str) -> None:
        log.write_bytes(log.read_bytes() + b'{"event": "closed"}\n')
        publish(folder, *names)

    monkeypatch.setattr(SearchFolder, "publish", late)
    before = log.read_bytes()
    assert main(["s", "--storage", f"file://{storage}"]) == 0
    assert log.read_bytes() == before + b'{"event": "closed"}\n'
    assert names(storage / "s") == {EVENTS, "best.json", "trials.csv", "report.html", "tensorboard"}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_results_are_written_elsewhere_and_the_storage_stays(
    storage: Path, tmp_path: Path, scheme: str
) -> None:
    out = tmp_path / "a" / "b"
    assert main(["s", "--storage", f"{scheme}{storage}", "--out", str(out)]) == 0
    check(out)
    assert names(storage / "s") == {EVENTS}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_study_is_written_and_nothing_else(
    storage: Path, tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    assert main(["s", "--storage", f"{scheme}{storage}", "--optuna", url]) == 0
    study = optuna.load_study(study_name="s", storage=url)
    assert [trial.value for trial in study.trials] == [0.4, 0.6]
    assert names(storage / "s") == {EVENTS}
    assert capsys.readouterr().out == f"study 's' with 2 trials is in {url}\n"


def test_a_search_without_a_report_has_a_table_only(storage: Path) -> None:
    path = storage / "s" / EVENTS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert main(["s", "--storage", str(storage)]) == 0
    assert names(storage / "s") == {EVENTS, "trials.csv", "report.html"}


@pytest.mark.parametrize("share", [0.7, 0.9, 0.999])
def test_a_torn_log_gives_what_it_has(storage: Path, tmp_path: Path, share: float) -> None:
    path = storage / "s" / EVENTS
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    url = f"sqlite:///{tmp_path}/study.db"
    assert main(["s", "--storage", str(storage), "--optuna", url]) == 0
    states = [t.state.name for t in optuna.load_study(study_name="s", storage=url).trials]
    assert states[0] == "COMPLETE"
    assert states[1:] in ([], ["RUNNING"])


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_damaged_log_is_refused_until_its_line_is_dropped_on_purpose(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    """Here the winner's score: what follows from it must not be written as if it were known."""
    log, out = storage / "s" / EVENTS, tmp_path / "out"
    log.write_bytes(log.read_bytes().replace(b'"score": 0.6', b'"score": 0.9'))
    damaged, command = log.read_bytes(), ["s", "--storage", f"{scheme}{storage}", "--out", str(out)]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "line 8 (`reported` of trial 1) is damaged: its checksum does not match" in message
    assert message.count("\n") == 1
    assert (out.exists(), log.read_bytes()) == (False, damaged)
    subprocess.run(message[message.index("sed -i") :], shell=True, check=True)
    if scheme:  # the storage still has the damaged one, which only the user may choose to give up
        assert main(command) == 2
        assert "choose one, and move the other away" in capsys.readouterr().err
        log.unlink()
    assert main(command) == 0
    assert read_best(out / "best.json").trial == 0


def test_what_is_wrong_is_said(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str) -> str:
        assert main([*arguments, "--storage", str(storage)]) == 2
        return capsys.readouterr().err

    assert refused("ss").startswith("error: there is no search 'ss'")
    assert "did you mean 's'?" in refused("ss")
    url = f"sqlite:///{tmp_path}/study.db"
    assert "--out" in refused("s", "--optuna", url, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused("s", "--out", str(tmp_path / "file" / "out"))
    log = storage / "s" / EVENTS
    text = log.read_text()
    log.write_text(text[:20])
    assert "stopped before it began" in refused("s")
    log.write_text(json.dumps(new_event("search", version=1)) + "\n")
    assert "of version 1" in refused("s")


@pytest.mark.slow
def test_the_command_runs_from_any_folder(storage: Path, tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, str(repository / "search" / "export.py"), "s"]
    command += ["--storage", str(storage), "--optuna", "sqlite:///study.db"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, check=False)
    assert done.returncode == 0
    assert (tmp_path / "study.db").is_file()


def test_another_trial_is_picked_into_a_file_of_its_own(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = storage / "s"
    assert main([str(folder), "--pick", "sst<=0.5"]) == 0
    assert "trial 0 (score 0.4000" in capsys.readouterr().out
    assert read_best(folder / "picked.json").trial == 0
    assert not (folder / "best.json").exists()
    assert main([str(folder), "--pick", "sst<=0.5", "--pick-file", "best.json"]) == 0
    assert read_best(folder / "best.json").trial == 0


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (["--pick", "sst>=0.9"], "the nearest is trial 1 with sst 0.6000"),
        (["--pick", "stss>=0.9"], "did you mean 'sts'?"),
        (["--pick", "sst"], "is no condition"),
        (["--pick", "sst>0", "--pick-file", "../x.json"], "without a folder"),
        (["--pick", "sst>0", "--optuna", "sqlite:///x.db"], "has no meaning with --optuna"),
    ],
)
def test_a_pick_that_cannot_be_is_refused_in_a_line(
    storage: Path, options: list[str], fragment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(storage / "s"), *options]) == 2
    message = capsys.readouterr().err
    assert fragment in message
    assert message.count("\n") == 1
    assert not list((storage / "s").glob("*.json"))


def test_the_page_is_written_from_the_log_alone(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(storage / "s")]) == 0
    assert "report.html" in capsys.readouterr().out
    text = (storage / "s" / "report.html").read_text(encoding="utf-8")
    assert "is the best of 2 trials" in text
