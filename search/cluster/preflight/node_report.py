"""What a machine reports of itself before it runs trials.

The driver sends this module to each node as a pickle. It imports nothing but Python's library and
pyarrow, so that it runs where the project is missing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TypedDict

import pyarrow
import pyarrow.fs


class NodeReport(TypedDict):
    """What a machine reports of itself.

    Attributes:
        host: Name of the machine.
        storage: Why the token could not be read or written; empty if it could.
        versions: Package -> version, None where it is missing.
        home: Folder that Python imports the project from; empty where it is missing.
        sources: File of the project, relative to `home` -> SHA-256.
        absent: Those of the asked paths that do not exist.
        temporary: Folder for temporary files.
        free: Free bytes of the disk of that folder.
    """

    host: str
    storage: str
    versions: dict[str, str | None]
    home: str
    sources: dict[str, str]
    absent: list[str]
    temporary: str
    free: int


def make_report(
    name: str, storage: str, folder: str, packages: tuple[str, ...], paths: tuple[str, ...]
) -> NodeReport:
    """Return the report of this machine; runs on every node, and on the driver for comparison.

    Args:
        name: Name of the token to write.
        storage: Folder or URI of searches.
        folder: Of the tokens, in the filesystem of `storage`.
        packages: Packages whose versions are reported.
        paths: Files and folders whose absence is reported.
    """
    temporary = tempfile.gettempdir()
    home, sources = _sources()
    versions: dict[str, str | None] = {name: _version(name) for name in packages}
    return {
        "host": socket.gethostname(),
        "storage": _pass_token(name, storage, folder),
        "versions": versions | {"python": platform.python_version()},
        "home": home,
        "sources": sources,
        "absent": [path for path in paths if not os.path.exists(path)],
        "temporary": temporary,
        "free": shutil.disk_usage(temporary).free,
    }


def _pass_token(name: str, storage: str, folder: str) -> str:
    """Copy the driver's token to one of this machine's name; returns what went wrong."""
    try:
        filesystem = pyarrow.fs.LocalFileSystem()
        if "://" in storage:
            filesystem, _ = pyarrow.fs.FileSystem.from_uri(storage)
        with filesystem.open_input_stream(f"{folder}/driver.token") as stream:
            token = stream.read()
        with filesystem.open_output_stream(f"{folder}/{name}") as stream:
            stream.write(token)
    except FileNotFoundError:
        return "it does not see there what the driver wrote"
    except (OSError, pyarrow.ArrowException) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _sources() -> tuple[str, dict[str, str]]:
    """Return the folder that Python would import the project from, and file -> hash."""
    home, found = "", {}
    for package in ("search", "spaces", "trainable"):
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            folder = Path(location)
            home = str(folder.parent)
            for path in folder.rglob("*.py"):
                name = path.relative_to(folder.parent).as_posix()
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return home, found
