"""The folder of a search, and the storage that it lives in or is copied to."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow
import pyarrow.fs

from trainable.cache.files import write_bytes
from trainable.errors import InputError

EVENTS = "events.jsonl"


@dataclass(frozen=True)
class SearchFolder:
    """Where one search is kept.

    Attributes:
        name: Name of the search.
        storage: Absolute folder or URI that holds searches; Ray writes trials' checkpoints there.
        local: Folder on the driver for log, TensorBoard files and results. It is the folder of
            `uri` if the storage is local; else `publish` copies it there.
    """

    name: str
    storage: str
    local: Path

    @property
    def uri(self) -> str:
        """Folder or URI of the search; `split` separates it into storage and name again."""
        if not self.is_copied:  # in the name of a folder, `?` is a character like any other
            return f"{self.storage.rstrip('/')}/{self.name}"
        path, mark, query = self.storage.partition("?")
        return f"{path.rstrip('/')}/{self.name}{mark}{query}"

    @property
    def is_copied(self) -> bool:
        """Whether log and results are copied to the storage, which is no folder of this machine."""
        return "://" in self.storage

    def on_this_machine(self) -> SearchFolder:
        """Return the same search as one that is kept in its local folder only."""
        return SearchFolder(self.name, str(self.local.parent), self.local)

    @property
    def log_bytes(self) -> int:
        """Size of the log on this machine; 0 where there is none."""
        log = self.local / EVENTS
        return log.stat().st_size if log.exists() else 0

    def location(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return the filesystem of the storage, and the search's path in it.

        The name goes behind the path, not behind the URI: a URI may end in options, as in
        `s3://bucket/prefix?region=eu-west-1`.
        """
        filesystem, root = pyarrow.fs.FileSystem.from_uri(self.storage)
        return filesystem, f"{root.rstrip('/')}/{self.name}"

    def files(self) -> pyarrow.fs.FileSystem:
        """Return the search's folder in its storage, local or not, as a filesystem of its own."""
        filesystem, path = self.location()
        return pyarrow.fs.SubTreeFileSystem(path, filesystem)

    def read(self, path: str) -> bytes:
        """Return the content of a file of the search.

        Raises:
            FileNotFoundError: There is none.
            InputError: The path leads out of the search's folder.
        """
        with self.files().open_input_stream(inside(path)) as stream:
            return bytes(stream.read())

    def delete(self, path: str) -> None:
        """Delete a folder of the search with what is in it; nothing to do where there is none.

        Raises:
            InputError: The path leads out of the search's folder.
        """
        files = self.files()
        if files.get_file_info(inside(path)).type == pyarrow.fs.FileType.Directory:
            files.delete_dir(path)
        # The folder of a trial goes with its last checkpoint, since empty ones would add up. One
        # that holds something stays, and an object store has no empty folders.
        with contextlib.suppress(OSError):
            (self.local / path).parent.rmdir()

    def check(self) -> None:
        """Look whether `make` may succeed, without writing; a remote storage is not looked at.

        Raises:
            InputError: The nearest folder that is there is a file, or this user may not write to
                it.
        """
        if self.is_copied:
            return
        try:
            there = next(path for path in (self.local, *self.local.parents) if path.exists())
        except OSError as error:  # a name that is too long, for one
            raise InputError(self._cannot_be_written(error)) from error
        if not there.is_dir():
            raise InputError(self._cannot_be_written(f"{there} is no folder"))
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(self._cannot_be_written(f"this user may not write to {there}"))

    def _cannot_be_written(self, why: object) -> str:
        return (
            f"--storage {self.storage!r} cannot be written: {why}; give a folder or URI that this "
            f"user may write to"
        )

    def make(self) -> None:
        """Make the folder, and write and remove a file in it.

        Raises:
            InputError: The storage cannot be written.
        """
        try:
            self.local.mkdir(parents=True, exist_ok=True)
            probe = self.local / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
            if self.is_copied:
                filesystem, path = self.location()
                filesystem.create_dir(path)
                with filesystem.open_output_stream(f"{path}/.probe") as stream:
                    stream.write(b"probe")
                filesystem.delete_file(f"{path}/.probe")
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise InputError(self._cannot_be_written(error)) from error

    def has_log(self) -> bool:
        """Return whether the search has begun: its log is on this machine or in the storage.

        Raises:
            InputError: The storage cannot be reached.
        """
        try:
            return (self.local / EVENTS).exists() or _is_file(self.files(), EVENTS)
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise InputError(f"--storage {self.storage!r} cannot be reached: {error}") from error

    def fetch_log(self) -> Path:
        """Return the log on this machine; that of a remote storage is fetched if it goes further.

        Raises:
            InputError: The storage cannot be read, or both logs go on from a common beginning, each
                in its own way.
        """
        log = self.local / EVENTS
        if self.is_copied:
            try:
                there = self._remote_log()
            except (OSError, pyarrow.ArrowInvalid) as error:
                raise InputError(f"--storage {self.storage!r} cannot be read: {error}") from error
            here = log.read_bytes() if log.exists() else b""
            if there is not None and self._goes_further(there, here):
                log.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(log, there)
        return log

    def _remote_log(self) -> bytes | None:
        return self.read(EVENTS) if _is_file(self.files(), EVENTS) else None

    def _goes_further(self, there: bytes, here: bytes) -> bool:
        """Whether the log in the storage says more than the one on this machine.

        A log only grows, so one of them is the beginning of the other, but for a last line that a
        killed driver left torn. If it is not, two drivers went on with the search: one where the
        head was lost, say, and one on the head that came back.
        """
        whole_there, whole_here = _whole_lines(there), _whole_lines(here)
        if here.startswith(whole_there):
            return False
        if there.startswith(whole_here):
            return True
        raise InputError(
            f"two drivers went on with the search {self.name!r}, each without the other, or one of "
            f"its two logs was damaged or mended: {self.local / EVENTS} and {EVENTS} in {self.uri} "
            f"begin alike and then differ; choose one, and move the other away"
        )

    def stored_log_bytes(self) -> int | None:
        """Return the size of the log in the storage; None where there is none."""
        size: int | None = self.files().get_file_info(EVENTS).size
        return size

    def publish_log(self, n_bytes: int) -> None:
        """Copy the beginning of the log to a remote storage; it appears there whole."""
        filesystem, path = self.location()
        # An object appears whole; a file would be torn where the driver is killed.
        is_file = isinstance(filesystem, pyarrow.fs.LocalFileSystem)
        written = f"{path}/.{EVENTS}" if is_file else f"{path}/{EVENTS}"
        with filesystem.open_output_stream(written) as stream:
            stream.write((self.local / EVENTS).read_bytes()[:n_bytes])
        if is_file:
            filesystem.move(written, f"{path}/{EVENTS}")

    def publish(self, *names: str) -> None:
        """Copy log, TensorBoard files and results to a remote storage; nothing to do if local.

        Args:
            names: Of files and folders in the search's folder; all of them if none is named.
        """
        if self.is_copied:
            filesystem, path = self.location()
            for below in [f"/{name}" for name in names] or [""]:
                pyarrow.fs.copy_files(
                    f"{self.local}{below}", f"{path}{below}", destination_filesystem=filesystem
                )


def _whole_lines(log: bytes) -> bytes:
    return log[: log.rfind(b"\n") + 1]


def inside(path: str) -> str:
    """Return a path that the log gives, if it leads to something below the search's folder.

    Raises:
        InputError: It leads elsewhere: what lies there must be neither read nor deleted.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise InputError(
            f"the event log names {path!r}, which is not below the folder of the search: the log "
            f"was not written by this program; bring back one that was, or choose another --name"
        )
    return path


def _is_file(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(path).type == pyarrow.fs.FileType.File)
