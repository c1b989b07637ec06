from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from search.commands.export import main
from search.log.events import VERSION, EventLog, read_events
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.planning.resume import versions
from search.report.optuna_study import frozen_trials, shown, write_study
from spaces.catalogue import make_space
from spaces.distributions import to_optuna
from spaces.fixed_configs import RowSpace
from spaces.params import param_from_json
from spaces.space import Space
from tests.course import SCORE_KEYS
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.encoder import TINY, EncoderConfig
from trainable.stages.multitask import Multitask

BASE = default_run(
    EncoderConfig(source=TINY), SampleData(), 0, Multitask(budget_tokens=90_000, units=9)
)
FULL, SMOKE = make_space("full", BASE), make_space("smoke", BASE)
NAN = math.nan
# Scores after units 1, 2, ..., and how the trial ended.
ENDS: list[tuple[list[float], str, TrialState]] = [
    ([0.3, 0.4, 0.5], "done", TrialState.COMPLETE),
    ([0.2, 0.1], "stopped", TrialState.PRUNED),
    ([0.2, 0.9], "paused", TrialState.PRUNED),
    ([0.3, 0.4, 0.6], "done", TrialState.COMPLETE),
    ([0.3], "interrupted", TrialState.PRUNED),
    ([], "interrupted", TrialState.FAIL),
    ([0.3, NAN], "failed", TrialState.FAIL),
    ([0.3, NAN], "stopped", TrialState.FAIL),
    ([], "failed", TrialState.FAIL),
    ([0.7], "running", TrialState.RUNNING),
    ([], "running", TrialState.RUNNING),
]
STATES = [state for _, _, state in ENDS]


def written(
    ends: Iterable[tuple[list[float], str, TrialState]],
    space: Space | RowSpace = FULL,
    log: EventLog | None = None,
) -> Journal:
    """Write the log of a search with params drawn at random; returns its journal."""
    journal = Journal(History(), log)
    journal.write(
        "search",
        version=VERSION,
        options={"data": "sample", "space": space.name, "units": 3, "seed": 0},
        n_trials=20,
        rungs=[1, 3],
        units=3,
        slots=2,
        space={param.name: param.to_json() for param in space.params()},
        versions=versions(),
        data_fingerprint="0123",
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number, (scores, status, _) in enumerate(ends):
        asked = study.ask()
        config = space.suggest(asked)
        add_trial(journal, number, asked.params, config.to_dict(), scores, status)
    return journal


def add_trial(
    journal: Journal,
    trial: int,
    params: dict[str, Any],
    run_config: dict[str, Any],
    scores: list[float],
    status: str,
) -> None:
    own = {"params": params, "run_config": run_config, "bracket": trial % 2, "origin": "random"}
    journal.write("suggested", trial=trial, **own)
    journal.write("started", trial=trial, id=f"id{trial}", unit=0)
    for unit, score in enumerate(scores, start=1):
        metrics = {**dict.fromkeys(SCORE_KEYS, score), "tokens": 1000 * unit}
        if unit == 3:
            metrics |= {f"confirm_{key}": score - 0.01 for key in SCORE_KEYS}
        journal.write("reported", trial=trial, unit=unit, metrics=metrics, failure="")
    journal.write("cost", trial=trial, seconds=2.5, cpus=1, gpus=0, node="n")
    if status == "paused":
        journal.write("paused", trial=trial, unit=len(scores))
    elif status != "running":
        error = "RunFailed: the loss of sst is nan" if status == "failed" else None
        journal.write("ended", trial=trial, status=status, error=error)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the log of a search `s`, and its study in `study.db`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "s").mkdir()
    log = EventLog(folder / "s" / EVENTS)
    write_study("s", written(ENDS, log=log).history, f"sqlite:///{folder}/study.db")
    return folder


@pytest.fixture
def storage(made: Path, tmp_path: Path) -> Path:
    """A copy of it for this test alone: making Optuna's tables is slow."""
    return Path(shutil.copytree(made, tmp_path / "storage"))


@pytest.fixture
def url(storage: Path) -> str:
    """The database with the study."""
    return f"sqlite:///{storage}/study.db"


@pytest.fixture
def journal(storage: Path) -> Journal:
    """The journal of the search."""
    path = storage / "s" / EVENTS
    return Journal(History(read_events(path)), EventLog(path))


def loaded(url: str, name: str = "s") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=url)


def comparable(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """All of a trial but its id in the database; NaN, which is not equal to itself, as text."""
    own = {**trial.__dict__, "_trial_id": None}
    own["intermediate_values"] = {k: repr(v) for k, v in trial.intermediate_values.items()}
    return own


@pytest.mark.parametrize("space", [FULL, make_space("stages", BASE), SMOKE])
def test_params_are_read_back_from_json_as_they_were(space: Space) -> None:
    for param in space.params():
        fields = param.to_json()
        assert json.loads(json.dumps(fields)) == fields
        assert param_from_json(param.name, fields) == param


@pytest.mark.parametrize("space", [FULL, RowSpace("rows", BASE, {"a/b": BASE, "c": BASE}, 2)])
def test_distributions_are_those_that_the_space_asks_optuna_for(space: Space | RowSpace) -> None:
    wanted: dict[str, Any] = {}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        asked = study.ask()
        space.suggest(asked)
        wanted |= asked.distributions
    ours = {param.name: to_optuna(param.domain) for param in space.params()}
    assert len(wanted) > 1
    assert {name: ours[name] for name in wanted} == wanted


def test_the_study_is_read_back_as_it_was_written(journal: Journal, url: str) -> None:
    expected = frozen_trials(journal.history)
    assert [*map(comparable, loaded(url).trials)] == [*map(comparable, expected)]


def test_optuna_itself_takes_the_trials_and_has_the_same(storage: Path, url: str) -> None:
    history = written(ENDS, SMOKE).history
    write_study("ours", history, url)
    theirs = optuna.create_study(storage=url, study_name="theirs", direction="maximize")
    theirs.add_trials(frozen_trials(history))
    ours = loaded(url, "ours")
    assert [*map(comparable, ours.trials)] == [*map(comparable, theirs.trials)]
    assert ours.directions == theirs.directions


def test_states_values_and_times_are_those_of_the_search(journal: Journal, url: str) -> None:
    trials = loaded(url).trials
    assert [trial.state for trial in trials] == STATES
    for (scores, status, state), trial, record in zip(
        ENDS, trials, journal.history.trials.values(), strict=True
    ):
        assert trial.number == record.number
        assert trial.params == record.params
        assert [repr(v) for v in trial.intermediate_values.values()] == [repr(s) for s in scores]
        assert list(trial.intermediate_values) == list(range(1, len(scores) + 1))
        has_value = state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert trial.value == (scores[-1] if has_value else None)
        assert trial.datetime_start == datetime.fromtimestamp(record.started)
        ended = datetime.fromtimestamp(record.ended)
        assert trial.datetime_complete == (None if status == "running" else ended)


def test_the_best_trial_is_that_of_the_search(journal: Journal, url: str) -> None:
    """Trial 2 was paused with a better score, after less training."""
    study, best = loaded(url), journal.history.best
    assert best is not None
    assert (study.best_trial.number, study.best_value) == (best.number, best.score) == (3, 0.6)


def test_what_optuna_has_no_field_for_is_an_attribute(url: str) -> None:
    study = loaded(url)
    assert study.trials[3].user_attrs == {
        "origin": "random",
        "bracket": 1,
        "place_seconds": 2.5,
        "status": "done",
        "units": 3,
        **dict.fromkeys(SCORE_KEYS[1:], 0.6),
        **dict.fromkeys([f"confirm_{key}" for key in SCORE_KEYS], 0.59),
    }
    failed = study.trials[8].user_attrs
    assert failed["error"] == "RunFailed: the loss of sst is nan"
    assert (failed["status"], failed["units"]) == ("failed", 0)
    assert study.user_attrs["data_fingerprint"] == "0123"
    assert study.user_attrs["space"] == "full"
    assert study.metric_names == ["score"]


@pytest.mark.filterwarnings("ignore:Some regimes")  # few trials
def test_optuna_analyses_the_study(url: str) -> None:
    """Params that only some trials have do not hinder it."""
    study = loaded(url)
    assert len({len(trial.params) for trial in study.trials}) > 1
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert set.intersection(*(set(trial.params) for trial in study.trials)) <= found.keys()
    assert len(study.trials_dataframe()) == len(ENDS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(ENDS), max_size=6))
def test_any_history_has_one_valid_trial_for_each_of_its_own(
    ends: list[tuple[list[float], str, TrialState]],
) -> None:
    trials = frozen_trials(written(ends, SMOKE).history)
    assert [trial.state for trial in trials] == [state for _, _, state in ends]
    assert [trial.number for trial in trials] == list(range(len(ends)))
    optuna.create_study(direction="maximize").add_trials(trials)


def test_a_later_export_replaces_the_trials(journal: Journal, url: str) -> None:
    journal.write("ended", trial=9, status="done", error=None)
    journal.write("promoted", trial=2, unit=2, rank=1, among=3)
    last = journal.history.trials[0]
    add_trial(journal, len(ENDS), last.params, last.run_config, [0.1, 0.2, 0.8], "done")
    write_study("s", journal.history, url)
    assert optuna.get_all_study_names(url) == ["s"]
    states = [*STATES, TrialState.COMPLETE]
    states[9], states[2] = TrialState.COMPLETE, TrialState.RUNNING
    study = loaded(url)
    assert [trial.state for trial in study.trials] == states
    assert study.best_value == 0.8
    expected = frozen_trials(journal.history)
    assert [*map(comparable, study.trials)] == [*map(comparable, expected)]


def rows_of(path: Path) -> dict[str, int]:
    """Return table -> number of rows."""
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    counts = {n: connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for (n,) in names}
    connection.close()
    return counts


def test_nothing_of_replaced_trials_stays(journal: Journal, url: str, storage: Path) -> None:
    before = rows_of(storage / "study.db")
    assert before["trials"] == len(ENDS)
    write_study("s", journal.history, url)
    assert rows_of(storage / "study.db") == before


def test_other_studies_of_the_database_stay(journal: Journal, url: str) -> None:
    before = [*map(comparable, loaded(url).trials)]
    for ends in (ENDS[:2], ENDS[:3]):
        other = written(ends, SMOKE).history
        other.header["time"] = 1.0
        write_study("other", other, url)
        assert len(loaded(url, "other").trials) == len(ends)
    assert [*map(comparable, loaded(url).trials)] == before


def test_a_study_that_is_not_of_this_search_is_kept(url: str) -> None:
    optuna.create_study(storage=url, study_name="made by Optuna")
    for name in ("s", "made by Optuna"):
        before = [*map(comparable, loaded(url, name).trials)]
        with pytest.raises(InputError, match=rf"a study '{name}' that is not of this search"):
            write_study(name, written(ENDS[:1], SMOKE).history, url)
        assert [*map(comparable, loaded(url, name).trials)] == before


def test_params_outside_the_space_of_the_log_are_refused(journal: Journal, url: str) -> None:
    trial = journal.history.trials[1]
    trial.params["encoder.dropout"] = 7.0
    with pytest.raises(InputError, match=r"trial 1 .*encoder\.dropout"):
        write_study("s", journal.history, url)
    trial.params = {"encoder.dropot": 0.1}
    with pytest.raises(InputError, match=r"trial 1 .*encoder\.dropot"):
        write_study("s", journal.history, url)


BAD_URLS = {
    "study.db": "study.db",
    "sqlite://study.db": "Invalid SQLite URL",
    "sqlite:////nowhere/study.db": "unable to open database file",
    "nosuchdb://localhost/x": "nosuchdb",
    "postgresql+nosuchdriver://user:secret@127.0.0.1/x": "nosuchdriver",
}


@pytest.mark.parametrize("bad", BAD_URLS)
def test_a_database_that_cannot_be_written_is_refused_with_the_reason(
    made: Path, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["s", "--storage", str(made), "--optuna", bad]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: --optuna ")
    assert BAD_URLS[bad] in message
    assert "sqlite:///study.db" in message
    assert "secret" not in message


def test_a_file_that_is_no_database_is_refused(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes\n" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        write_study("s", journal.history, f"sqlite:///{path}")
    assert path.read_text() == "these are notes\n" * 100


@pytest.mark.parametrize("password", ["secret", "secr@t", "s:e/c", ""])
def test_a_password_is_not_shown(password: str) -> None:
    found = shown(f"postgresql://user:{password}@host:5432/studies")
    assert found.startswith("postgresql://user:")
    assert found.endswith("@host:5432/studies")
    assert not password or password not in found


def test_a_url_without_a_password_is_shown_as_it_is() -> None:
    for own in ("sqlite:///study.db", "sqlite:////a/b@c/study.db", "postgresql://host:1/x"):
        assert shown(own) == own


def break_database(storage: Path) -> None:
    """Let the database refuse what belongs to trial 3."""
    connection = sqlite3.connect(storage / "study.db")
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON trial_user_attributes "
        "WHEN (SELECT count(*) FROM trials) > 3 BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    connection.commit()
    connection.close()


def test_a_write_that_fails_says_so_and_leaves_a_study_that_is_marked(
    journal: Journal, url: str, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # Optuna tries five times
    assert loaded(url).user_attrs["export_complete"] is True
    break_database(storage)
    with pytest.raises(InputError, match="disk is full"):
        write_study("s", journal.history, url)
    assert loaded(url).user_attrs["export_complete"] is False
    assert len(loaded(url).trials) == 3


def test_an_incomplete_study_is_replaced_and_the_export_says_so(
    journal: Journal, url: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = [*map(comparable, loaded(url).trials)]
    arguments = ["s", "--storage", str(storage), "--optuna", url]
    said = f"study 's' with {len(ENDS)} trials is in {url}"
    loaded(url).set_user_attr("export_complete", False)  # as a killed export leaves it
    assert main(arguments) == 0
    more = "; it replaces one that an earlier export left incomplete"
    assert capsys.readouterr().out == f"{said}{more}\n"
    assert [*map(comparable, loaded(url).trials)] == complete
    assert loaded(url).user_attrs["export_complete"] is True
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{said}\n"


class Killed(BaseException):
    """As SIGKILL: nothing that follows it is done."""


@pytest.mark.parametrize("n_written", [0, 1, 2])
def test_a_kill_while_the_study_begins_hinders_no_later_export(
    url: str, monkeypatch: pytest.MonkeyPatch, n_written: int
) -> None:
    history, keys, set_user_attr = written(ENDS[:1], SMOKE).history, [], optuna.Study.set_user_attr

    def until_killed(self: optuna.Study, key: str, value: Any) -> None:
        if len(keys) == n_written:
            raise Killed
        keys.append(key)
        set_user_attr(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", until_killed)
        with pytest.raises(Killed):
            write_study("t", history, url)
    assert list(loaded(url, "t").user_attrs) == keys
    assert write_study("t", history, url)  # it replaces one that is incomplete, and says so
    (trial,) = loaded(url, "t").trials
    assert comparable(trial) == comparable(frozen_trials(history)[0])


def test_an_empty_study_with_anything_of_its_own_is_kept(url: str) -> None:
    history = written(ENDS[:1], SMOKE).history
    optuna.create_study(storage=url, study_name="t", direction="maximize").set_user_attr("a", 1)
    optuna.create_study(storage=url, study_name="u", direction="maximize").enqueue_trial({"x": 1})
    optuna.create_study(storage=url, study_name="v", direction="minimize")
    for name in "tuv":
        with pytest.raises(InputError, match="not of this search"):
            write_study(name, history, url)
