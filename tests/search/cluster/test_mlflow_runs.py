"""`--log mlflow` with a store in a file, on searches that are played."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from search.cluster.trackers import check_trackers, open_trackers, shown_config
from search.log.history import History
from search.planning.options import SearchOptions
from trainable.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("mlflow") is None, reason="needs the extra `mlflow`"
    ),
]
OPTIONS = SearchOptions(log=("mlflow",))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient()


def runs_of(client: Any, name: str) -> dict[int, Any]:
    """Return number of a trial -> its only run."""
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    assert len({run.data.params["trial"] for run in found}) == len(found)
    return {int(run.data.params["trial"]): run for run in found}


def play(search: Any, folder: Path, until: int | None = None) -> list[str]:
    """Play a search whose changes are shown; `until` a number of events, when it is killed."""
    said: list[str] = []
    opened = open_trackers(OPTIONS, folder, search.history, said.append)

    def show(trial: Any) -> None:
        if until is not None and len(search.log.events) > until:
            raise KeyboardInterrupt
        opened.write(trial)

    own = search.dispatcher
    own.on_started = own.on_reported = own.on_closed = show
    try:
        search.play()
    except KeyboardInterrupt:
        own.on_closed = lambda trial: None
    opened.close()
    return said


def check_equal(client: Any, history: History, runs: dict[int, Any]) -> None:
    """Compare what MLflow has with the records, trial by trial."""
    assert set(runs) == {trial.number for trial in history.trials.values() if trial.id}
    for number, run in runs.items():
        trial = history.trials[number]
        assert run.info.run_name == f"trial_{number:04d}"
        assert run.data.params == {k: str(v) for k, v in shown_config(trial).items()}
        points = client.get_metric_history(run.info.run_id, "score")
        assert [(p.step, p.value) for p in points] == [
            (unit, trial.reports[unit]["score"]) for unit in sorted(trial.reports)
        ]
        assert run.info.status == ("FAILED" if trial.status == "failed" else "FINISHED")


def test_each_trial_is_one_run_though_it_pauses_and_is_promoted(
    client: Any, played: Any, outcomes: Any, tmp_path: Path
) -> None:
    search = played(outcomes(1, 0.05), n_trials=6)
    said = play(search, tmp_path / "one")
    assert said == [f"mlflow: experiment one of sqlite:///{tmp_path}/mlflow.db"]
    assert any(trial.promoted for trial in search.history.trials.values())
    check_equal(client, search.history, runs_of(client, "one"))


def test_a_resumed_search_goes_on_with_the_runs_that_are_there(
    client: Any, played: Any, outcomes: Any, tmp_path: Path
) -> None:
    first = played(outcomes(2), n_trials=6)
    play(first, tmp_path / "two", until=25)
    begun = runs_of(client, "two")
    assert "KILLED" in {run.info.status for run in begun.values()}
    second = played(outcomes(2), first.log.events, n_trials=6)
    play(second, tmp_path / "two")
    runs = runs_of(client, "two")
    check_equal(client, second.history, runs)
    assert {n: run.info.run_id for n, run in runs.items()}.items() >= {
        (n, run.info.run_id) for n, run in begun.items()
    }


def test_a_search_that_is_shown_late_is_shown_whole(
    client: Any, played: Any, outcomes: Any, tmp_path: Path
) -> None:
    search = played(outcomes(3), n_trials=3).play()
    open_trackers(OPTIONS, tmp_path / "late", search.history, print).close()
    check_equal(client, search.history, runs_of(client, "late"))


def test_the_experiment_can_be_named(
    client: Any, played: Any, outcomes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two searches then share it, also where their trials have the same names."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    for name in ("a", "b"):
        play(played(outcomes(4), n_trials=2), tmp_path / name)
    found = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert sorted((run.data.tags["search"], run.info.run_name) for run in found) == [
        (name, f"trial_000{number}") for name in ("a", "b") for number in (0, 1)
    ]


def test_a_server_that_does_not_answer_is_refused_in_one_line(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    with pytest.raises(InputError) as caught:
        check_trackers(OPTIONS)
    assert str(caught.value).startswith("--log mlflow: ")
    assert "start its server" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_that_breaks_in_the_middle_is_said_and_the_search_ends_as_without(
    client: Any, played: Any, outcomes: Any, tmp_path: Path
) -> None:
    search = played(outcomes(5), n_trials=3)
    said: list[str] = []
    opened = open_trackers(OPTIONS, tmp_path / "gone", search.history, said.append)

    def show(trial: Any) -> None:
        (tmp_path / "mlflow.db").write_text("this is no database")
        opened.write(trial)

    own = search.dispatcher
    own.on_started = own.on_reported = own.on_closed = show
    search.play()
    opened.close()
    assert search.found == played(outcomes(5), n_trials=3).play().found
    assert len(said) == 3  # where it is shown; the first failure; which trials are incomplete
    assert "the search goes on" in said[1]
    assert "trials 0, 1, 2 may be incomplete there" in said[2]
