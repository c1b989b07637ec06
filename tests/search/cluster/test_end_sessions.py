from __future__ import annotations

import signal
import subprocess
import sys
import time

from search.cluster import end_sessions


def test_sessions_end_with_the_driver_and_others_do_not() -> None:
    """Whoever was started in a session belongs to it, also in a process group of its own."""
    shell = ["bash", "-mc", "sleep 60 & wait"]  # -m: a group for each job
    ours, other = (
        subprocess.Popen(shell, start_new_session=True, stdout=subprocess.DEVNULL) for _ in range(2)
    )
    watcher = subprocess.Popen(
        [sys.executable, "-IS", end_sessions.__file__, str(ours.pid)], stdin=subprocess.PIPE
    )
    try:
        wait_for(lambda: len(members(ours.pid)) == 2)
        assert ours.poll() is None
        assert watcher.poll() is None
        watcher.communicate(timeout=10)  # closes stdin, as the end of the driver does
        assert ours.wait(timeout=10) == -signal.SIGKILL
        wait_for(lambda: not members(ours.pid))
        assert other.poll() is None
    finally:
        end_sessions.end_sessions({other.pid})
        other.wait()


def members(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = subprocess.run(
        ["ps", "-s", str(session), "-o", "pid=,stat="], capture_output=True, text=True, check=False
    )
    lines = [line.split() for line in found.stdout.splitlines()]
    return [int(pid) for pid, state in lines if not state.startswith("Z")]


def wait_for(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()
