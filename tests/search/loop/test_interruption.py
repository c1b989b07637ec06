from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.loop.interruption import Interruption
from trainable.training.loop import RunLeft

SIGNALS = [signal.SIGINT, signal.SIGTERM]
TWICE = """
import os, signal, sys
from search.loop.interruption import Interruption
with Interruption("stopping: writing results") as interruption:
    interruption.defer()
    for _ in range(2):
        os.kill(os.getpid(), int(sys.argv[1]))
    print("not reached")
"""
PIPED = """
from search.loop.interruption import Interruption, SearchConsole
with Interruption("stopping: writing results") as interruption:
    interruption.defer()
    console = SearchConsole()
    for _ in range(1000):
        console.print("line")
    interruption.look()
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_search_has_begun_a_signal_ends_it_at_once(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Interruption("stopping: writing results"):
        signal.raise_signal(number)
    assert capfd.readouterr().err == ""
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_later_it_is_announced_at_once_and_waits_for_the_next_look(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with Interruption("stopping: writing results") as interruption:
        interruption.defer()
        interruption.look()
        signal.raise_signal(number)
        assert capfd.readouterr().err == "stopping: writing results (again to stop now)\n"
        with pytest.raises(KeyboardInterrupt):
            interruption.look()


@pytest.mark.parametrize("number", SIGNALS)
def test_what_it_raises_is_chosen(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with Interruption("stopping after this step", RunLeft) as stop:
        stop.defer()
        stop.look()
        signal.raise_signal(number)
        assert capfd.readouterr().err == "stopping after this step (again to stop now)\n"
        for _ in range(2):
            with pytest.raises(RunLeft):
                stop.look()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_process_without_a_traceback(
    repository: Path, number: signal.Signals, status: int
) -> None:
    done = run(repository, TWICE, str(int(number)))
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "stopping: writing results (again to stop now)\n"


def test_a_reader_that_has_gone_ends_a_search_in_order(repository: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(repository, PIPED, stdout=writing)
    os.close(writing)
    assert done.stderr.startswith("stopping: writing results")
    assert done.stderr.endswith("KeyboardInterrupt\n")  # raised by `look`


def run(
    repository: Path, program: str, *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=repository,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
