"""One driver for one search: two would write one log, and delete what the other saves."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from search.log.folder import SearchFolder
from trainable.errors import InputError


@contextmanager
def only_driver(folder: SearchFolder, log_bytes: int) -> Iterator[None]:
    """Be the only driver of a search on machines that share its folder; a kill ends that too.

    Args:
        folder: Of the search.
        log_bytes: Size of its log before this driver read it; 0 for a new search.

    Raises:
        InputError: Another driver runs, or one ran after this one had read the log; or the folder
            is on a file system without locks.
    """
    # It lies beside the folder, since all files of the folder are copied to a remote storage.
    path = folder.local.with_name(f".{folder.name}.lock")
    with _locked(path, folder) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            if folder.log_bytes != log_bytes:
                raise InputError(
                    f"{folder.uri}: another driver wrote to its log while this one read it; "
                    f"go on with --name {folder.name} --resume"
                )
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, folder: SearchFolder) -> TextIO:
    """Return the file, open and locked."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file meanwhile: then another one has its name.
            if _is_still_at(file, path):
                return file
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise InputError(
                f"{folder.uri}: another driver runs this search ({holder}); wait "
                f"until it has ended, or end it by Ctrl-C or SIGTERM, then go on with --name "
                f"{folder.name} --resume"
            ) from error
        except OSError as error:
            file.close()
            raise InputError(
                f"{path} cannot be locked ({error}), so nothing would keep a second driver away; "
                f"keep the search on a file system that has locks, by --storage"
            ) from error
        file.close()


def _is_still_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
