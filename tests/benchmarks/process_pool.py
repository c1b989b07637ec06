"""A pool of processes that ends with the process that made it, also where that is killed."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

_SECONDS = 1.0  # between two looks


def process_pool(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of new processes, without what this one has loaded.

    Python's own pool waits for ever where its maker was killed, with all that its processes hold.

    Args:
        jobs: Processes.
    """
    maker = (os.getpid(),)
    return ProcessPoolExecutor(jobs, get_context("spawn"), _end_with, maker)


def _end_with(maker: int) -> None:
    def look() -> None:
        while os.getppid() == maker:  # an orphan has another parent
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
