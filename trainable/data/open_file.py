"""Open a user's file of examples: literal paths, gzip, and errors that name the file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from trainable.cache.files import reading
from trainable.errors import InputError, did_you_mean

_MOST_FOUND = 12  # names of files that a message lists


@contextmanager
def open_text(path: Path) -> Iterator[Iterable[str]]:
    """Open UTF-8 text, with or without a byte order mark, and give its lines with their ends.

    Raises:
        InputError: The file cannot be read, or is not what its name says.
    """
    with reading(path):
        if path.suffix != ".gz":
            with path.open(encoding="utf-8-sig", newline="") as lines:
                yield lines
            return
        try:
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as unpacked:
                yield unpacked
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{path} is no whole gzip file ({error}); copy it again, or rename it if it is not "
                "compressed"
            ) from error


def check_files(paths: Iterable[Path]) -> None:
    """Refuse files that are not there, all of a folder at once.

    Raises:
        InputError: A folder or a file is missing, or a folder cannot be read.
    """
    by_folder: dict[Path, list[str]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path.name)
    for folder, wanted in by_folder.items():
        with reading(folder):
            if not folder.is_dir():
                raise InputError(f"no folder {folder}; give the one with {', '.join(wanted)}")
            there = {path.name: path.suffix for path in folder.iterdir()}
        missing = [name + did_you_mean(name, there) for name in wanted if name not in there]
        if missing:
            raise InputError(f"{folder} lacks {', '.join(missing)}; found: {_found(there, wanted)}")


def _found(there: Mapping[str, str], wanted: list[str]) -> str:
    """Return the names of files that are there and end like those that are wanted."""
    suffixes = {Path(name).suffix for name in wanted}
    found = sorted(name for name, suffix in there.items() if suffix in suffixes)
    if len(found) > _MOST_FOUND:
        found[_MOST_FOUND:] = [f"and {len(found) - _MOST_FOUND} more"]
    return ", ".join(found) or f"no {' or '.join(sorted(suffixes))} file"
