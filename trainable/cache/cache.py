"""Folders of results that processes share: one process computes, and the oldest results go."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from trainable.cache.files import CACHE_VARIABLE
from trainable.errors import InputError

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, what: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock, which the operating system releases for a process that dies.

    Args:
        path: File of the lock; its folder is made.
        what: Name of what the folder keeps, for the message.
        on_wait: Called before waiting for the process that holds it.

    Raises:
        InputError: The folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot keep {what} in {path.parent}: {error}; set {CACHE_VARIABLE} to a folder that "
            "can be written to"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_oldest(entries: Iterable[Path], most_bytes: int, keep: Path) -> None:
    """Remove files or folders until the rest is small enough, the one used longest ago first.

    Args:
        entries: Files or folders of the cache; their mtime is the time of their last use.
        most_bytes: Bound on their total size, in bytes.
        keep: Never removed.
    """
    found: list[tuple[float, int, Path]] = []
    for path in entries:
        with suppress(FileNotFoundError):  # another process may have removed it
            files = path.iterdir() if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files)
            found.append((path.stat().st_mtime, size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > most_bytes and path != keep:
            log.info("removing %s, which was used longest ago", path)
            try:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except FileNotFoundError:
                pass  # another process has removed it
            except OSError as error:  # of another user, say; the next oldest goes
                log.warning("cannot remove %s from the cache: %s", path, error)
                continue
            total -= size
