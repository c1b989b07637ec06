"""Write files whole, under a temporary name that is then renamed; find the folder of caches."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainable.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

CACHE_VARIABLE = "MTBERT_CACHE"


def cache_folder() -> Path:
    """Return the folder of cached results: $MTBERT_CACHE, or one below the user's cache folder."""
    if own := os.environ.get(CACHE_VARIABLE):
        return user_path(own)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(base) / "multitask-bert-search"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a user's file or folder into `InputError`s that name it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    except OSError as error:
        # Not `is_symlink`, which may raise the same error.
        link = f" (a link to {os.readlink(path)})" if os.path.islink(path) else ""
        raise InputError(
            f"cannot read {path}{link}: {error.strerror or error}; check that it is there, what it "
            "should be, and that you may read it"
        ) from error


def user_path(text: str) -> Path:
    """Return the absolute path that a user means, with a leading `~` replaced; never a pattern.

    Raises:
        InputError: It begins with `~` and the name of an unknown user.
    """
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{text}: {error}; write the path without ~") from error


def read_json(path: Path, if_missing: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        if_missing: What the user can do if the file is missing, for the message.

    Raises:
        InputError: The file is missing, cannot be read, or is not JSON.
    """
    with reading(path):
        if not path.is_file():
            raise InputError(f"{path}: no such file; {if_missing}")
        text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error


def file_digest(path: Path) -> str:
    """Return 16 hex digits of a SHA-256 of a file's bytes.

    Raises:
        InputError: The file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _replace(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _replace(temporary, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    _replace(temporary, path)


def separated_line(cells: Sequence[Any], delimiter: str) -> str:
    """Return a line of a CSV or TSV file; a cell with any line break in it is quoted."""
    file = io.StringIO(newline="")
    # Else a lone "\r" is not quoted.
    csv.writer(file, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return file.getvalue().removesuffix("\r\n") + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, whole or not at all. NaN is refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all."""
    # torch takes seconds to import, and most of what reads files here does without it.
    from safetensors.torch import save_file

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(tensors, temporary)
    _replace(temporary, path)
