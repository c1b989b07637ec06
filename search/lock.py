"""One driver for one search: two would write one log, and delete what the other saves."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from search.plan import Plan
from trainable.errors import InputError


@contextmanager
def only_driver(plan: Plan) -> Iterator[None]:
    """Be the only driver of a search on machines that share its folder; a kill ends that too.

    Raises:
        InputError: There is another one, or there was one since the plan read the log; the folder
            is on a file system without locks.
    """
    # Beside the folder: what is in it belongs to the search, and is copied to a remote storage.
    path = plan.folder.local.with_name(f".{plan.folder.name}.lock")
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise InputError(
                f"{plan.folder.uri}: another driver runs this search ({file.read().strip()}); wait "
                f"until it has ended, or end it by Ctrl-C or SIGTERM, then go on with --name "
                f"{plan.folder.name} --resume"
            ) from error
        except OSError as error:
            raise InputError(
                f"{path} cannot be locked ({error}), so nothing would keep a second driver away; "
                f"keep the search on a file system that has locks, by --storage"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        if plan.folder.log_bytes != plan.log_bytes:
            raise InputError(
                f"{plan.folder.uri}: another driver wrote to its log while this one read it; go on "
                f"with --name {plan.folder.name} --resume"
            )
        yield
