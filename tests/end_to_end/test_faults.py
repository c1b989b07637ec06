"""What goes wrong in a real search, and what is left of it."""

from __future__ import annotations

import csv
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from search.commands.run import main, run_search
from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.report.best import read_best
from spaces.space import Space
from tests.chaos.clusters import Nodes
from tests.chaos.drivers import Search
from tests.chaos.verify import figures
from tests.course import WORST_SCORE
from trainable.model.pooling import ClsPooling
from trainable.run_config import RunConfig
from trainable.task_config import SingleClasses
from trainable.training.hugging_face import write_encoder
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def broken_pooler(inputs: RunInputs, tmp_path: Path) -> Path:
    """An encoder that gives NaN to those trials only that use its pooler."""
    folder = tmp_path / "encoder"
    write_encoder(Run(RunConfig(), inputs), folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.weight"] = torch.full_like(tensors["pooler.dense.weight"], math.nan)
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_trials_whose_loss_is_no_number_fail_and_the_others_finish(
    broken_pooler: Path, tmp_path: Path
) -> None:
    options = SearchOptions(
        encoder=str(broken_pooler),
        storage=str(tmp_path / "runs"),
        name="nan",
        trials=5,
        budget="10000",
        units=2,
        searcher="random",
        scheduler="none",
        address="local",
        quiet=True,
    )
    plan = make_plan(options)
    base = plan.space.base.model_copy(
        update={"tasks": plan.space.base.tasks | {"sst": SingleClasses(pooling=ClsPooling())}}
    )
    # With a learning rate there are enough configurations: none is tried twice.
    space = Space("pooler", base, ("sst.pooling.cls.pooler", "multitask.optimization.lr"))
    assert run_search(replace(plan, space=space, points=()), Console(quiet=True)) == 0
    folder = tmp_path / "runs" / "nan"
    trials = list(History(read_events(folder / EVENTS)).trials.values())
    assert len(trials) == 5
    broken = [t for t in trials if t.params["sst.pooling.cls.pooler"]]
    assert 0 < len(broken) < 5, "choose another seed: nothing is tested"
    for trial in trials:
        if trial in broken:
            assert trial.status == "failed"
            assert trial.error is not None
            assert re.search(r"RunFailed: .*unit 1: .*sst_loss nan", trial.error)
            assert trial.score == pytest.approx(WORST_SCORE)
            assert trial.units == 1
        else:
            assert (trial.status, trial.error, trial.units) == ("done", None, 2)
    assert read_best(folder / "best.json").trial not in {t.number for t in broken}
    assert r"sst\_loss nan" in (folder / "report.md").read_text()  # as Markdown has it


def test_more_gpus_than_any_node_has_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    options = ["--storage", str(tmp_path), "--name", "gpus", "--address", "local"]
    assert main([*options, "--gpus-per-trial", "0.5"]) == 2
    assert not ray.is_initialized()
    error = capsys.readouterr().err
    assert "--gpus-per-trial 0.5: no node has more than 0 GPUs" in error
    assert "ask for less" in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    # Nothing stands in the way of a second attempt.
    assert main([*options, "--gpus-per-trial", "0.5", "--dry-run"]) == 0


OPTIONS = [
    *("--space", "smoke", "--budget", "60000", "--units", "3", "--trials", "4", "--eta", "2"),
    *("--name", "stopped", "--address", "local", "--max-concurrent", "2"),
]


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM])
def interrupted(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A search that got a signal, as its whole process group, while a trial with a checkpoint ran.

    So Ctrl-C reaches the processes of a terminal, and SIGTERM those that `timeout` has started.
    """
    storage = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "search/run.py", *OPTIONS, "--storage", str(storage)]
    with subprocess.Popen(
        command,
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_for_a_checkpoint_in_use(storage / "stopped" / EVENTS, process)
            os.killpg(process.pid, request.param)
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
    return storage / "stopped", done


def wait_for_a_checkpoint_in_use(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300  # on a busy machine workers take two minutes to start
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and has_checkpoint_in_use(read_events(path)):
            return
        time.sleep(0.1)
    pytest.fail(f"no trial went on: {process.communicate(timeout=60)}")


def has_checkpoint_in_use(events: list[Event]) -> bool:
    """Whether a trial went on beyond a unit that was saved."""
    goes_on = {(e["trial"], e["unit"]) for e in events if e.get("decision") == "continue"}
    return any(
        event["unit"] > 0
        if event["event"] == "started"
        else event["event"] == "saved" and (event["trial"], event["unit"]) in goes_on
        for event in events
    )


def test_a_signal_ends_the_search_in_order(
    interrupted: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = interrupted
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stopping: writing results") == 1
    assert "Traceback" not in done.stderr
    assert "rank trial units" in done.stdout
    events = read_events(folder / EVENTS)[: len(before_resume(folder))]
    assert events[-1]["event"] == "closed"
    trials = list(History(events).trials.values())
    assert 0 < len(trials) <= 4
    assert "interrupted" in {trial.status for trial in trials}
    assert "running" not in {trial.status for trial in trials}
    costs = [event["seconds"] for event in events if event["event"] == "cost"]
    assert len(costs) == sum(event["event"] == "started" for event in events)


def before_resume(folder: Path) -> list[Event]:
    """Return the events of the first driver."""
    events = read_events(folder / EVENTS)
    kinds = [event["event"] for event in events]
    return events[: kinds.index("resumed") if "resumed" in kinds else len(events)]


def test_a_signal_leaves_whole_results_and_nothing_of_tune(
    interrupted: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = interrupted
    best = read_best(folder / "best.json")
    trials = list(History(before_resume(folder)).trials.values())
    assert best.run_config == trials[best.trial].config
    with (folder / "trials.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == len(trials)
    assert "## Leaderboard" in (folder / "report.md").read_text()
    assert not list(folder.rglob("*.tmp"))
    allowed = ("best.json", "events.jsonl", "report", "tensorboard", "trials.csv")
    rest = [path for path in folder.iterdir() if path.name not in allowed and path.stem != "report"]
    assert rest
    assert all(path.match("trial_*") and any(path.iterdir()) for path in rest), rest


class Hostile:
    """A pickle of it makes a folder where it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_search_that_was_interrupted_goes_on_where_it_stopped(
    interrupted: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, _ = interrupted
    first = list(History(before_resume(folder)).trials.values())
    trace = tmp_path / "trace"
    hostile = pickle.dumps(Hostile(trace))
    for path in folder.iterdir():
        if path.is_file() and path.name != EVENTS:  # what Tune and we wrote: nobody reads it
            path.write_bytes(hostile)
    # Where Ray would look: beside the log, in folders of trials and in checkpoints.
    checkpoints = [path.parent for path in folder.rglob("state.json")]
    for place in {folder, *checkpoints, *(path.parent for path in checkpoints)}:
        for name in ("tuner", "trainable", "params", "searcher-state", ".metadata", "error"):
            (place / f"{name}.pkl").write_bytes(hostile)
    assert main([*OPTIONS, "--storage", str(folder.parent), "--resume", "--quiet"]) == 0
    events = read_events(folder / EVENTS)
    (resumed,) = (event for event in events if event["event"] == "resumed")
    assert {key: resumed[key] for key in ("cpus", "gpus")} == {"cpus": 1.0, "gpus": 0.0}
    assert resumed["versions"] == events[0]["versions"]
    assert_whole(events, n_trials=4)
    trials = list(History(events).trials.values())
    for before in first:
        after = trials[before.number]
        assert (after.params, after.run_config) == (before.params, before.run_config)
        assert before.reports.items() <= after.reports.items()
        assert before.decided.items() <= after.decided.items()
    assert_begun_where_saved(events)
    goes_on = [e for e in events[events.index(resumed) :] if e["event"] == "started"]
    assert any(event["unit"] > 0 for event in goes_on)
    assert read_best(folder / "best.json").units == 3
    assert not trace.exists()
    pickle.loads(hostile)
    assert trace.exists()


def assert_begun_where_saved(events: list[Event]) -> None:
    """Every job of a trial began with the unit of its last checkpoint; none where it had none."""
    saved: dict[int, int] = {}
    for event in events:
        if event["event"] == "saved":
            saved[event["trial"]] = event["unit"]
        elif event["event"] == "started":
            assert event["unit"] == saved.get(event["trial"], 0)


def assert_whole(events: list[Event], n_trials: int) -> None:
    """Every trial was suggested once and came to an end, without a gap; one ran to the end."""
    suggested = Counter(event["trial"] for event in events if event["event"] == "suggested")
    assert suggested == Counter(range(n_trials))
    trials = list(History(events).trials.values())
    assert {trial.status for trial in trials} <= {"done", "stopped"}
    assert "done" in {trial.status for trial in trials}
    for trial in trials:
        assert list(trial.reports) == list(range(1, trial.units + 1))
    assert events[-1]["event"] == "closed"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes(head_cpus=2) as nodes:
        yield nodes


@pytest.fixture
def new_search(nodes: Nodes, tmp_path: Path) -> Callable[..., Search]:
    """Return a function that makes a search whose trials are stubs."""

    def make(*more: str, **faults: Any) -> Search:
        options = ["--space", "smoke", "--budget", "60000", "--units", "4", "--eta", "2"]
        return Search(tmp_path, [*options, "--quiet", "--address", nodes.address, *more], **faults)

    return make


def test_a_time_limit_ends_the_search_in_order_and_more_trials_extend_it(
    new_search: Callable[..., Search],
) -> None:
    search = new_search("--max-concurrent", "2", seconds=0.02)
    # A busy machine may need the whole of the limit to start two actors: some trials end before.
    assert search.run("--trials", "2") == 0, search.printed
    (search.results / "best.json").unlink()  # the search that is limited writes it again
    search.behave(seconds=10.0)
    # Eight more trials need at least 40 seconds of two places.
    assert search.run("--trials", "10", "--time-limit", "30s") == 0, search.printed
    assert "it ended early: --time-limit 30s is over" in search.printed
    assert search.events[-1]["reason"] == "--time-limit 30s is over"
    statuses = Counter(trial.status for trial in History(search.events).trials.values())
    assert 0 < statuses["interrupted"] <= 2
    assert statuses["running"] == 0
    assert (search.results / "best.json").exists()
    search.behave(seconds=0.02)
    assert search.run("--trials", "14") == 0, search.printed
    assert_whole(search.events, n_trials=14)
    assert figures(search.events, search.units).most_repeated <= 1


def test_device_hours_are_counted_over_all_drivers(new_search: Callable[..., Search]) -> None:
    search = new_search("--max-concurrent", "1", "--trials", "100", seconds=0.3)
    limit = "--max-device-hours 0.002"  # 7.2 s of a core
    assert search.run(*limit.split()) == 0, search.printed
    for _ in range(2):
        assert f"it ended early: {limit} are used" in search.printed
        spent = sum(event["seconds"] for event in search.events if event["event"] == "cost")
        assert spent >= 7.2
        n_units = len(search.units)
        assert 0 < n_units < 100
        assert search.run(*limit.split()) == 0, search.printed
        assert len(search.units) == n_units, "the first driver's hours were forgotten"


def test_a_search_of_which_nothing_can_start_ends_with_an_error(
    new_search: Callable[..., Search],
) -> None:
    search = new_search("--trials", "50", start_errors=dict.fromkeys(map(str, range(50)), 100))
    assert search.run() == 1
    assert "6 attempts failed and none succeeded" in search.printed
    assert "device-side assert" in search.printed
    assert len(History(search.events).trials) <= 6
    assert search.events[-1]["event"] == "closed"
