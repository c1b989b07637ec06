"""A real search on a local Ray, to best.json, to retraining; one search for all tests here."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
from transformers import BertModel

from search.commands import retrain as retraining
from search.commands.run import main
from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.log.trial import TrialRecord
from search.report.best import Best, read_best
from spaces.catalogue import make_space
from spaces.space import Space
from tests.course import SCORE_KEYS, TASK_NAMES
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE
from trainable.worker.ray_trainable import report_keys

pytestmark = pytest.mark.slow
BUDGET, UNITS, TRIALS = 20_000, 2, 2


@dataclass(frozen=True)
class Finished:
    """A search that ended, and what it printed."""

    folder: Path
    options: list[str]
    printed: str

    @property
    def events(self) -> list[Event]:
        return read_events(self.folder / EVENTS)

    @property
    def trials(self) -> list[TrialRecord]:
        return list(History(self.events).trials.values())

    @property
    def best(self) -> Best:
        return read_best(self.folder / "best.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    storage = tmp_path_factory.mktemp("runs")
    options = [
        *("--space", "smoke", "--budget", str(BUDGET), "--units", str(UNITS)),
        *("--trials", str(TRIALS), "--storage", str(storage), "--name", "first"),
        *("--address", "local", "--quiet"),
    ]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(options) == 0
    assert not ray.is_initialized()
    return Finished(storage / "first", options, printed.getvalue())


def space() -> Space:
    stage = Multitask(budget_tokens=BUDGET, units=UNITS)
    return make_space("smoke", default_run(EncoderConfig(), SampleData(), 0, stage))


def kinds(events: list[Event]) -> list[str]:
    return [event["event"] for event in events]


def test_every_result_is_there_and_whole(finished: Finished) -> None:
    names = {path.name for path in finished.folder.iterdir()}
    expected = {EVENTS, "best.json", "trials.csv", "report.md", "report.html", "tensorboard"}
    assert expected <= names
    assert not list(finished.folder.rglob("*.tmp"))
    assert not list(finished.folder.glob(".probe*"))


def test_the_log_begins_with_the_search_and_ends_in_order(finished: Finished) -> None:
    events = finished.events
    assert kinds(events)[0] == "search"
    assert kinds(events)[-1] == "closed"
    assert events[0]["rungs"] == [1, 2]
    assert kinds(events).count("suggested") == kinds(events).count("ended") == TRIALS
    assert not {"failed", "resumed"} & set(kinds(events))


def test_every_trial_ended_by_itself_or_by_the_scheduler(finished: Finished) -> None:
    assert {trial.status for trial in finished.trials} <= {"done", "stopped"}
    assert any(trial.status == "done" for trial in finished.trials)
    for trial in finished.trials:
        assert list(trial.reports) == list(range(1, trial.units + 1))
        assert trial.units == (UNITS if trial.status == "done" else 1)
        for metrics in trial.reports.values():
            assert set(metrics) == set(report_keys(COURSE))


def test_what_was_sampled_is_what_ran(finished: Finished) -> None:
    events = [event for event in finished.events if event["event"] == "suggested"]
    assert len(events) == TRIALS
    for event in events:
        config = RunConfig.from_dict(event["run_config"], "event")
        assert space().params_of(config) == event["params"]
        assert len(event["params"]) == 3
    # What an actor saves is what it ran. Of a finished search the default and the best of the
    # others keep their checkpoints.
    states = list(finished.folder.glob("*/checkpoint_*/state.json"))
    assert 1 <= len(states) <= 2
    best = finished.trials[finished.best.trial]
    state = finished.folder / best.checkpoints[best.units] / "state.json"
    assert state in states
    assert RunConfig.from_dict(json.loads(state.read_text())["run_config"], "state") == best.config


def test_the_first_trial_is_the_base(finished: Finished) -> None:
    assert finished.trials[0].config == space().base


def test_the_best_trial_is_exported(finished: Finished) -> None:
    best = finished.best
    trial = finished.trials[best.trial]
    assert best.search == "first"
    assert best.run_config == trial.config
    assert best.units == UNITS
    assert best.select == {key: trial.last[key] for key in SCORE_KEYS}
    assert best.confirm == {key: trial.last[f"confirm_{key}"] for key in SCORE_KEYS}
    others = [t.score for t in finished.trials if t.units == UNITS]
    assert best.select["score"] == max(others)


def test_tables_have_every_trial(finished: Finished) -> None:
    with (finished.folder / "trials.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {int(row["trial"]) for row in rows} == set(range(TRIALS))
    text = (finished.folder / "report.md").read_text()
    assert "## Leaderboard" in text
    folders = {path.name for path in (finished.folder / "tensorboard").iterdir()}
    assert folders == {f"trial_{n:04d}" for n in range(TRIALS)}


def test_it_prints_the_leaderboard_and_what_to_type_next(finished: Finished) -> None:
    assert "using a local Ray on this machine" in finished.printed
    assert "rank trial units" in finished.printed
    assert f"tensorboard --logdir {finished.folder}" in finished.printed
    assert f"search/retrain.py {finished.folder}/best.json" in finished.printed
    for number in range(TRIALS):
        assert f"trial {number} " in finished.printed


def test_it_is_not_written_over(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished.folder / EVENTS).read_bytes()
    assert main(finished.options) == 2
    assert "--resume" in capsys.readouterr().err
    assert (finished.folder / EVENTS).read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("--space", "heads"), ("--units", "1"), ("--budget", "30000"), ("--seed", "1")],
)
def test_it_is_not_resumed_as_another_search(
    finished: Finished, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    options = list(finished.options)
    if option in options:
        options[options.index(option) + 1] = value
    else:
        options += [option, value]
    assert main([*options, "--resume"]) == 2
    error = capsys.readouterr().err
    assert "--resume" in error
    assert "give the options that the search was started with" in error
    assert not ray.is_initialized()


def test_a_finished_search_is_resumed_from_its_log_alone(
    finished: Finished, tmp_path: Path
) -> None:
    options = list(finished.options)
    options[options.index("--storage") + 1] = str(tmp_path)
    shutil.copytree(finished.folder, tmp_path / "first")
    for state in (tmp_path / "first").glob("*_state-*.json"):
        state.write_bytes(state.read_bytes()[:-100])  # Tune's own, torn
    assert main([*options, "--resume"]) == 0
    events = read_events(tmp_path / "first" / EVENTS)
    assert [event["event"] for event in events[len(finished.events) :]] == ["resumed", "closed"]
    best = (tmp_path / "first" / "best.json").read_text()
    assert best == (finished.folder / "best.json").read_text()


def shortened(finished: Finished, tmp_path: Path) -> Path:
    """Return a best.json whose run takes a second."""
    values = json.loads((finished.folder / "best.json").read_text())
    values["run_config"]["multitask"]["budget_tokens"] = 5000
    path = tmp_path / "best.json"
    path.write_text(json.dumps(values))
    return path


def test_the_best_is_retrained_over_seeds(finished: Finished, tmp_path: Path) -> None:
    path = shortened(finished, tmp_path)
    assert retraining.main([str(path), "--seeds", "2"]) == 0
    out = tmp_path / "retrain"
    values: dict[str, Any] = json.loads((out / "retrain.json").read_text())
    assert values["train_on"] == "train"
    assert Best.model_validate(values["best"]).run_config.multitask.budget_tokens == 5000
    assert set(values["seeds"]) == {"1", "2"}
    for split in ("select", "confirm"):
        for key in SCORE_KEYS:
            own = [values["seeds"][seed][split][key] for seed in ("1", "2")]
            summary = values["summary"][split][key]
            assert summary["mean"] == pytest.approx(statistics.fmean(own))
            assert summary["stdev"] == pytest.approx(statistics.stdev(own))
    for seed in (1, 2):
        folder = out / f"seed_{seed}"
        assert BertModel.from_pretrained(folder / "encoder").config.hidden_size == 64
        config = RunConfig.from_dict(
            json.loads((folder / "run_config.json").read_text()), "run_config"
        )
        assert config.seed == seed
        assert (folder / "heads.safetensors").is_file()
        names = {p.name for p in (folder / "predictions").iterdir()}
        assert {f"{task}-dev-output.csv" for task in TASK_NAMES} <= names
    assert values["seeds"]["1"] != values["seeds"]["2"]


def test_with_dev_among_the_training_data_nothing_is_scored(
    finished: Finished, tmp_path: Path
) -> None:
    path = shortened(finished, tmp_path)
    arguments = [str(path), "--seeds", "1", "--train-on", "train+dev", "--out", str(tmp_path / "o")]
    assert retraining.main(arguments) == 0
    values = json.loads((tmp_path / "o" / "retrain.json").read_text())
    assert values["train_on"] == "train+dev"
    assert values["seeds"] == {"1": {}}
    assert values["summary"] == {}
    assert (tmp_path / "o" / "seed_1" / "encoder" / "model.safetensors").is_file()
