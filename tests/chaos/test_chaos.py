"""Faults against the real driver and Ray; trials are stubs. The long form: `kill_driver.py`."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from search.log.events import Event
from search.log.history import History
from search.log.trial import TrialRecord
from tests.chaos import node_faults
from tests.chaos.clusters import Nodes
from tests.chaos.drivers import Search, kill
from tests.chaos.simulation import simulate
from tests.chaos.stub import HOLD_FILE
from tests.chaos.verify import differences, figures, orphans, repeated, replay

pytestmark = pytest.mark.slow

OPTIONS = ["--space", "smoke", "--budget", "60000", "--units", "4", "--eta", "2", "--quiet"]
NewSearch = Callable[..., Search]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes(head_cpus=2) as nodes:
        yield nodes


@pytest.fixture
def new_search(nodes: Nodes, tmp_path: Path) -> NewSearch:
    """Return a function that makes a search of eight trials, one at a time."""

    def make(*more: str, **settings: Any) -> Search:
        options = [*OPTIONS, "--trials", "8", "--max-concurrent", "1", *more]
        return Search(tmp_path, [*options, "--address", nodes.address], **settings)

    return make


def uninterrupted(search: Search) -> list[Event]:
    """Return the log that the search would have if nothing had happened to it."""
    return simulate(search.plan(), search.faults)


def count(events: list[Event], kind: str) -> int:
    return sum(event["event"] == kind for event in events)


def test_killed_drivers_leave_no_trace(new_search: NewSearch) -> None:
    search, draw = new_search(failing=0.3, unknown=0.2), random.Random(1)
    kills = sum(search.kill_at_random(draw, most_events=20) for _ in range(3))
    assert search.run() == 0
    assert kills == count(search.events, "resumed") == 3
    assert orphans(search.events, search.results) == 0
    found = figures(search.events, search.units)
    assert found.trials == 8
    assert found.is_good, found
    assert differences(uninterrupted(search), search.events) == []
    assert replay(search.events, search.plan()) == []
    failed = {t.number for t in History(search.events).trials.values() if t.status == "failed"}
    assert failed, "choose another seed: no loss was NaN"


def test_sigterm_ends_a_search_in_order(new_search: NewSearch) -> None:
    search = new_search(seconds=0.5)  # so long that the signal comes before the unit's end
    driver = search.start()
    assert search.wait_for(driver, lambda: is_in_a_unit(search))
    driver.terminate()
    driver.join()
    assert driver.exitcode == 0, search.printed
    assert "rank trial units" in search.printed
    assert "Traceback" not in search.printed
    assert search.events[-1]["event"] == "closed"
    trials = History(search.events).trials.values()
    assert "interrupted" in {trial.status for trial in trials}
    assert "running" not in {trial.status for trial in trials}
    assert (search.results / "best.json").exists()


def test_a_killed_worker_costs_one_unit(new_search: NewSearch) -> None:
    search = new_search(seconds=0.5)  # so long that the signal comes before the unit's end
    driver = search.start()
    assert search.wait_for(driver, lambda: is_in_a_unit(search))
    os.kill(search.units[-1]["pid"], signal.SIGKILL)
    driver.join()
    assert driver.exitcode == 0, search.printed
    assert count(search.events, "failed") == 1
    found = figures(search.events, search.units)
    assert found.is_good, found
    assert found.repeated == 1
    assert differences(uninterrupted(search), search.events) == []


def test_nodes_that_come_are_used_and_a_killed_one_costs_each_of_its_trials_one_unit(
    nodes: Nodes, tmp_path: Path
) -> None:
    """Two nodes of two GPUs, half a one for each trial; one comes later, another is lost."""
    options = node_faults.Options(gpus=2, gpus_per_trial=0.5, trials=16, seconds=0.05)
    search = node_faults.search_of(options, tmp_path, nodes.address)
    hold = tmp_path / HOLD_FILE
    hold.touch()
    first, driver = nodes.add(2), search.start()
    assert search.wait_for(driver, lambda: len(units_begun(search)) == 4)
    second = nodes.add(2)
    assert search.wait_for(driver, lambda: len(units_begun(search)) == 8)
    assert len(node_faults.trials_on(search, nodes, second)) == 4
    lost, struck = node_faults.trials_on(search, nodes, first), time.time()
    nodes.kill(first)
    # Until then it counts as a slot for new trials, which would take those of the node to come.
    assert search.wait_for(driver, lambda: slots(search.events)[-1] == 4)
    nodes.add(2)
    assert search.wait_for(driver, lambda: not node_faults.silent(search, lost, struck))
    hold.unlink()
    driver.join()
    assert driver.exitcode == 0, search.printed
    assert slots(search.events) == [4, 8, 4, 8]
    assert most_at_once(search.events) == 8
    found = figures(search.events, search.units)
    assert (len(lost), found.trials, found.repeated) == (4, 16, 4)
    assert found.is_good, found
    assert replay(search.events, search.plan()) == []


def test_a_node_with_another_project_ends_the_search_that_it_joins(
    nodes: Nodes, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*OPTIONS, "--trials", "100", "--address", nodes.address]
    search, old = Search(tmp_path, options, seconds=0.3), tmp_path / "old"
    monkeypatch.chdir(tmp_path)  # Ray lets workers import from the driver's folder, too
    driver = search.start()
    assert search.wait_for(driver, lambda: bool(search.units))
    for package in ("search", "spaces", "trainable"):
        shutil.copytree(repository / package, old / package)
    (old / "search" / "cluster" / "tune.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(old))
    joined = nodes.add(1)
    driver.join()
    nodes.kill(joined)
    assert driver.exitcode == 1, search.printed
    assert f"{joined.node_id[:8]}): the project in {old} is not the driver's" in search.printed
    assert ": search/cluster/tune.py" in search.printed
    assert list(search.results.glob(".preflight-*")) == []


def is_in_a_unit(search: Search) -> bool:
    """Whether trials have done something, and one has just begun a unit: it is not at a rung."""
    done = search.units
    return len(done) >= 8 and done[-1]["what"] == "begun"


def slots(events: list[Event]) -> list[int]:
    """Return how many trials could run at a time, from each moment on at which that changed."""
    return [event["slots"] for event in events if event["event"] in ("search", "places")]


def most_at_once(events: list[Event]) -> int:
    """Return how many trials held a slot at the same time, at most."""
    held = {"started": 1, "cost": -1}
    return max(accumulate(held.get(event["event"], 0) for event in events))


def test_a_lost_head_costs_what_the_bucket_did_not_know(tmp_path: Path) -> None:
    """The copy of the log is all that is left of the head; checkpoints have gone on without it."""
    options = [*OPTIONS, "--trials", "60", "--max-concurrent", "1"]  # of which few are needed
    search = Search(tmp_path, options, storage=f"file://{tmp_path}/bucket", seconds=0.1)
    with Nodes() as nodes:
        nodes.add(gpus=1)
        driver = search.start("--address", nodes.address)
        assert search.wait_for(driver, lambda: stopped_where(needs_what_is_deleted, search, driver))
        kill(driver)
        nodes.kill_head()
    copied, begun = search.events, units_begun(search)
    assert len(copied) < len(search.own_events)
    shutil.rmtree(search.disk)
    search.behave(seconds=0.0)
    with Nodes(head_cpus=1) as nodes:
        assert search.run("--address", nodes.address) == 0, search.printed
    assert search.events[: len(copied)] == copied
    found = figures(search.events, search.units)
    assert (found.trials, found.lost, found.suggested_twice, found.overlapping) == (60, 0, 0, 0)
    assert count(search.events, "lost") == 0
    known = History(copied).trials
    later = History(search.events).trials
    ended = {n for n, trial in known.items() if is_settled(trial, later[n])}
    saved = {t.number: max(t.checkpoints, default=0) for t in known.values()}
    expected = sum(last - saved.get(n, 0) for n, last in begun.items() if n not in ended)
    assert sum(repeated(search.units).values()) == expected > 0
    assert differences(uninterrupted(search), search.events) == []
    assert orphans(search.events, search.results) == 0


def is_settled(trial: TrialRecord, later: TrialRecord) -> bool:
    """Whether a trial needed no more training, as later became clear; its checkpoint or not.

    A driver that goes on decides what was reported, and trains again only what it lets go on, and
    a last unit without its checkpoint.
    """
    if trial.is_over:
        return True
    return trial.units in later.decided and trial.units == later.units


def stopped_where(holds: Callable[[Search], bool], search: Search, driver: BaseProcess) -> bool:
    """Whether something holds; the driver is stopped then, so that it goes on holding."""
    if not holds(search):
        return False
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGSTOP)
    if holds(search):
        return True
    os.kill(driver.pid, signal.SIGCONT)
    return False


def needs_what_is_deleted(search: Search) -> bool:
    """Whether the copied log goes on from a checkpoint that the driver needs no more.

    It knows of no later unit either, so that at least one is trained again.
    """
    trials = History(search.events).trials.values()
    needed = {t.checkpoints[t.units] for t in trials if t.units in t.checkpoints and t.is_open}
    return any(e["event"] == "deleted" and e["path"] in needed for e in search.own_events)


def units_begun(search: Search) -> dict[int, int]:
    """Return trial -> the last unit that it began."""
    begun = [line for line in search.units if line["what"] == "begun"]
    return {line["trial"]: line["unit"] for line in begun}


@pytest.mark.parametrize("damage", ["all", "torn"])
def test_lost_checkpoints_are_trained_again(new_search: NewSearch, damage: str) -> None:
    search = new_search("--scheduler", "none", "--eta", "3", "--trials", "2", seconds=0.5)
    driver = search.start()
    assert search.wait_for(driver, lambda: sorted(first_trial(search)) == [1, 2])
    assert kill(driver)
    there = [path for _, path in sorted(first_trial(search).items(), reverse=True)]
    damaged = there if damage == "all" else there[:1]
    for path in damaged:
        if damage == "torn":
            (search.results / path / "unit.json").write_bytes(b'{"un')
        else:
            shutil.rmtree(search.results / path)
    assert search.run() == 0, search.printed
    lost = [event["path"] for event in search.events if event["event"] == "lost"]
    assert lost == damaged
    found = figures(search.events, search.units)
    assert (found.lost, found.suggested_twice, found.overlapping) == (0, 0, 0)
    assert differences(uninterrupted(search), search.events) == []


def first_trial(search: Search) -> dict[int, str]:
    """Return the checkpoints of trial 0."""
    trials = History(search.events).trials
    return trials[0].checkpoints if trials else {}


def test_a_torn_log_is_gone_on_with(new_search: NewSearch) -> None:
    search, draw = new_search(), random.Random(3)
    driver = search.start()
    assert search.wait_for(driver, lambda: search.n_events() >= 40)
    assert kill(driver)
    whole = search.log.read_bytes()
    begins = whole.index(b"\n") + 1
    search.log.write_bytes(whole[: draw.randrange(begins, len(whole))])
    assert search.run() == 0, search.printed
    found = figures(search.events, [])
    assert found.trials == 8
    assert found.is_good, found
    assert differences(uninterrupted(search), search.events) == []


def test_a_trial_that_cannot_be_started_ends_and_one_that_starts_later_does_not(
    new_search: NewSearch,
) -> None:
    search = new_search(start_errors={"1": 1, "3": 100})
    assert search.run() == 0, search.printed
    trials = History(search.events).trials
    assert trials[3].status == "failed"
    assert trials[3].error is not None
    assert "device-side assert" in trials[3].error
    assert count([e for e in search.events if e.get("trial") == 3], "failed") == 3
    others = [trial for trial in trials.values() if trial.number != 3]
    assert {trial.status for trial in others} <= {"done", "stopped"}
    assert len(others) == 7


def test_a_report_without_the_metric_ends_the_search_and_says_so(new_search: NewSearch) -> None:
    """The contract of the trainable forbids it; a change that breaks it must not go unnoticed."""
    search = new_search(silent=(2,))
    assert search.run() == 1
    assert "score" in search.printed
    search.behave()
    assert search.run() == 0, search.printed
    assert figures(search.events, search.units).lost == 0
    assert differences(uninterrupted(search), search.events) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("bytes_left", [0, 800_000])
def test_a_full_disk_ends_the_search_before_trials_are_lost(
    new_search: NewSearch, small_disk: Path, bytes_left: int
) -> None:
    """No room is left for the log, or not enough for a real checkpoint of the encoder."""
    search = new_search(storage=small_disk, seconds=0.5)
    driver = search.start()
    assert search.wait_for(driver, lambda: search.n_events() >= 20)
    filling = small_disk / "filling"
    with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
        while shutil.disk_usage(small_disk).free > bytes_left:
            file.write(bytes(4096))
    driver.join()
    assert driver.exitcode == 1, search.printed
    assert "make room, then go on with" in search.printed
    filling.unlink()
    assert search.run() == 0, search.printed
    assert figures(search.events, search.units).lost == 0
    assert differences(uninterrupted(search), search.events) == []
