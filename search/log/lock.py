"""One process for one folder: two drivers of a search would write one log, for example."""

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
    held = f"{folder.uri}: another driver runs this search"
    advice = f"end it by Ctrl-C or SIGTERM, then go on with --name {folder.name} --resume"
    with _only_process(path, held, advice, "--storage"):
        if folder.log_bytes != log_bytes:
            raise InputError(
                f"{folder.uri}: another driver wrote to its log while this one read it; "
                f"go on with --name {folder.name} --resume"
            )
        yield


@contextmanager
def only_retraining(out: Path) -> Iterator[None]:
    """Be the only retraining that writes to a folder, which exists; a kill ends that too.

    Raises:
        InputError: Another one does, or the folder cannot be written or has no locks.
    """
    held = f"{out}: another retraining writes to this folder"
    with _only_process(out / ".lock", held, "choose another --out", "--out"):
        yield


@contextmanager
def _only_process(path: Path, held: str, advice: str, option: str) -> Iterator[None]:
    """Hold a lock file, and remove it in the end.

    Args:
        path: The file.
        held: What is the matter where another process holds it.
        advice: What to do then, other than to wait.
        option: Where the user names the folder.
    """
    with _locked(path, held, advice, option) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, held: str, advice: str, option: str) -> TextIO:
    """Return the file, open and locked."""
    while True:
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error}); choose another folder by {option}"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file meanwhile: then another one has its name.
            if _is_still_at(file, path):
                return file
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise InputError(f"{held} ({holder}); wait until it has ended, or {advice}") from error
        except OSError as error:
            file.close()
            raise InputError(
                f"{path} cannot be locked ({error}), so nothing would keep a second process away; "
                f"choose a folder on a file system that has locks, by {option}"
            ) from error
        file.close()


def _is_still_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
