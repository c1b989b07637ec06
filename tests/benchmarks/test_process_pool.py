from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.benchmarks.process_pool import process_pool

MAKER = """
import os, time
from tests.benchmarks.process_pool import process_pool
if __name__ == "__main__":
    pool = process_pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_pool_works_in_other_processes() -> None:
    with process_pool(2) as pool:
        found = list(pool.map(abs, [-1, -2, -3]))
        assert pool.submit(os.getpid).result() != os.getpid()
    assert found == [1, 2, 3]


@pytest.mark.slow
def test_its_processes_end_where_their_maker_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", MAKER], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        worker = int(maker.stdout.readline())
        os.kill(worker, 0)
        maker.kill()
    for _ in range(100):
        if not is_alive(worker):
            return
        time.sleep(0.1)
    os.kill(worker, 9)
    pytest.fail("the worker outlived its maker")


def is_alive(pid: int) -> bool:
    """Return whether a process is there, and not one that has ended and that nobody asked for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
