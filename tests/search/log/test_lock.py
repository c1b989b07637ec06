from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from search.commands.run import main
from search.log.events import VERSION, EventLog, new_event
from search.log.folder import EVENTS
from search.log.lock import only_driver, only_retraining
from search.planning.make_plan import make_plan
from search.planning.plan import Plan
from trainable.errors import InputError

MakePlan = Callable[..., Plan]


def begun(plan: Plan) -> Plan:
    """Write a log, and return the plan of a driver that has read it."""
    log = EventLog(plan.folder.local / EVENTS)
    log.append(new_event("search", version=VERSION, n_trials=3))
    log.close()
    return replace(plan, log_bytes=plan.folder.log_bytes)


def driver_of(plan: Plan) -> AbstractContextManager[None]:
    return only_driver(plan.folder, plan.log_bytes)


def test_a_second_driver_is_refused_and_told_what_to_do(
    plan_of: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = begun(plan_of(space="smoke"))
    log = (plan.folder.local / EVENTS).read_bytes()
    options = ["--name", "search", "--storage", plan.folder.storage, "--space", "smoke"]
    with driver_of(plan):
        assert main([*options, "--budget", "90000", "--resume"]) == 2
    told = capsys.readouterr().err
    assert f"process {os.getpid()} on " in told
    assert "another driver runs this search" in told
    assert "go on with --name search --resume" in told
    assert (plan.folder.local / EVENTS).read_bytes() == log
    assert list(plan.folder.local.iterdir()) == [plan.folder.local / EVENTS]


def test_a_killed_driver_is_no_driver(plan_of: MakePlan) -> None:
    plan = begun(plan_of(space="smoke"))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with driver_of(plan):
            os.write(writing, b"!")
            time.sleep(600)
        os._exit(1)
    try:
        assert os.read(reading, 1) == b"!"
        with (
            pytest.raises(InputError, match=rf"process {child} on "),
            driver_of(plan),
        ):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with driver_of(plan):
        pass


def test_two_drivers_that_begin_one_search_at_a_time_are_not_both_let(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    refused = pytest.raises(InputError, match="another driver runs")
    with (
        driver_of(plan),
        refused,
        driver_of(plan),
    ):
        pass


def test_a_driver_that_read_what_another_went_on_with_is_refused(plan_of: MakePlan) -> None:
    for plan in (plan_of(space="smoke", name="new"), begun(plan_of(space="smoke", name="old"))):
        with driver_of(plan):
            begun(plan)
        refused = pytest.raises(InputError, match="wrote to its log while this one read it")
        with refused, driver_of(plan):
            pass


def test_the_plan_knows_how_long_the_log_was(plan_of: MakePlan) -> None:
    plan = begun(plan_of(space="smoke"))
    asked = replace(plan.options, resume=True, dry_run=True)
    assert make_plan(asked).log_bytes == plan.folder.log_bytes > 0


def test_a_lock_that_its_holder_removed_meanwhile_is_none(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder ends between the opening of its file and the lock on it."""
    plan, flock = plan_of(space="smoke"), fcntl.flock
    path, calls = plan.folder.local.with_name(".search.lock"), []

    def late(file: TextIO, operation: int) -> None:
        if not calls:
            path.unlink()
        calls.append(operation)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with driver_of(plan):
        assert len(calls) == 2
        monkeypatch.undo()
        with (
            pytest.raises(InputError, match="another driver runs"),
            driver_of(plan),
        ):
            pass


def test_a_file_system_without_locks_is_refused(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    plan = plan_of(space="smoke")
    monkeypatch.setattr(fcntl, "flock", refuse)
    refused = pytest.raises(InputError, match=r"cannot be locked .*No locks available")
    with refused, driver_of(plan):
        pass


def test_nothing_of_the_lock_is_in_the_folder_of_the_search(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of(space="smoke")
    with driver_of(plan):
        assert list(plan.folder.local.iterdir()) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == [".search.lock", "search"]
    assert [path.name for path in tmp_path.iterdir()] == ["search"]


def test_what_a_killed_driver_left_in_the_lock_is_not_named(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    path = plan.folder.local.with_name(".search.lock")
    path.write_text("process 1 on another machine with a long name\n")
    with (
        driver_of(plan),
        pytest.raises(
            InputError, match=rf"runs this search \(process {os.getpid()} on [^)]*\)"
        ) as e,
        driver_of(plan),
    ):
        pass
    assert "another machine" not in str(e.value)


def test_a_second_retraining_into_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with only_retraining(tmp_path):
        with pytest.raises(InputError) as caught, only_retraining(tmp_path):
            pass
        (tmp_path / "other").mkdir()
        with only_retraining(tmp_path / "other"):
            pass
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}: another retraining writes to this folder "
        rf"\(process {os.getpid()} on \S+\); wait until it has ended, or choose another --out",
        str(caught.value),
    )
    with only_retraining(tmp_path):  # the first has ended
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with (
        pytest.raises(InputError, match=r"\.lock cannot be written .*choose another .* by --out"),
        only_retraining(tmp_path),
    ):
        pass
