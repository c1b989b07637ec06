"""The folder of a search, and the storage that it lives in or is copied to."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow
import pyarrow.fs

from trainable.errors import InputError, did_you_mean

EVENTS = "events.jsonl"
_SECRET = re.compile(r"secret|token|password|^sig$", re.IGNORECASE)  # of a URI's options


@dataclass(frozen=True)
class SearchFolder:
    """Where one search is kept.

    Attributes:
        name: Name of the search.
        storage: Absolute folder or URI that holds searches; Ray writes trials' checkpoints there.
        local: Folder on the driver for log, TensorBoard files and results. The same place as
            `uri` if the storage is a local folder; else `publish` copies it there.
    """

    name: str
    storage: str
    local: Path

    @property
    def uri(self) -> str:
        """Where the search is to be found; what `split` takes apart."""
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
            raise InputError(
                f"--storage {self.storage!r} cannot be written: {error}; give a folder or URI that "
                f"this user may write to"
            ) from error

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
                log.write_bytes(there)
        return log

    def _remote_log(self) -> bytes | None:
        filesystem, path = self.location()
        if not _is_file(filesystem, f"{path}/{EVENTS}"):
            return None
        with filesystem.open_input_stream(f"{path}/{EVENTS}") as stream:
            return bytes(stream.read())

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
            f"two drivers went on with the search {self.name!r}, each without the other: "
            f"{self.local / EVENTS} and {EVENTS} in {self.uri} begin alike and then differ; choose "
            f"one, and move the other away"
        )

    def publish_log(self) -> None:
        """Copy the log to a remote storage; it appears there whole."""
        filesystem, path = self.location()
        # An object appears whole; a file would be torn where the driver is killed.
        is_file = isinstance(filesystem, pyarrow.fs.LocalFileSystem)
        written = f"{path}/.{EVENTS}" if is_file else f"{path}/{EVENTS}"
        with filesystem.open_output_stream(written) as stream:
            stream.write((self.local / EVENTS).read_bytes())
        if is_file:
            filesystem.move(written, f"{path}/{EVENTS}")

    def publish(self) -> None:
        """Copy log, TensorBoard files and results to a remote storage; nothing to do if local."""
        if self.is_copied:
            filesystem, path = self.location()
            pyarrow.fs.copy_files(str(self.local), path, destination_filesystem=filesystem)


def _whole_lines(log: bytes) -> bytes:
    return log[: log.rfind(b"\n") + 1]


def split(uri: str) -> tuple[str, str]:
    """Return storage and name of a search whose folder or URI is given."""
    path, mark, query = uri.partition("?")
    storage, _, name = path.rstrip("/").rpartition("/")
    return f"{storage or '/'}{mark}{query}", name


def find_folder(storage: str, name: str, *, resume: bool) -> SearchFolder:
    """Return the folder of a new search, or of one to be resumed; nothing is made.

    Raises:
        InputError: The search exists without --resume, or does not exist with it; the URI holds a
            secret.
    """
    if "://" in storage:
        _refuse_secrets(storage)
        # One folder for each URI: searches of one name in two storages are two searches.
        own = hashlib.sha256(storage.encode()).hexdigest()[:12]
        local = Path(tempfile.gettempdir()) / f"searches-{os.getuid()}" / own / name
        folder = SearchFolder(name, storage, local)
        exists = (local / EVENTS).exists() or _remote_exists(folder)
    else:
        path = Path(storage).expanduser().absolute()
        folder = SearchFolder(name, str(path), path / name)
        exists = (folder.local / EVENTS).exists()
    if resume and not exists:
        raise InputError(f"there is no search {name!r} in {folder.storage}{_nearest(folder)}")
    if exists and not resume:
        raise InputError(
            f"the search {folder.uri} exists; go on with it by --resume, or choose another --name"
        )
    return folder


def _refuse_secrets(uri: str) -> None:
    """Refuse keys in a URI: it is written to the log, and sent to every trial."""
    parts = urlsplit(uri)
    secrets = [key for key, _ in parse_qsl(parts.query) if _SECRET.search(key)]
    if parts.password is not None or secrets:
        what = ", ".join(secrets) or "a password"
        raise InputError(
            f"--storage {parts.scheme}://...: the URI holds {what}, which would be written to the "
            f"log; give nodes a role, or the keys by environment variables (for S3 "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )


def _nearest(folder: SearchFolder) -> str:
    parent = Path(folder.storage)
    if folder.is_copied or not parent.is_dir():
        return ""
    return did_you_mean(folder.name, [p.parent.name for p in parent.glob(f"*/{EVENTS}")])


def _remote_exists(folder: SearchFolder) -> bool:
    try:
        filesystem, path = folder.location()
        return _is_file(filesystem, f"{path}/{EVENTS}")
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(f"--storage {folder.storage!r} cannot be reached: {error}") from error


def _is_file(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(path).type == pyarrow.fs.FileType.File)
