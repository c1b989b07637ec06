"""Tensors that a node holds in memory once: one process computes them, all of them map the file.

    <cache>/mapped/<kind>-<key>.safetensors    the tensors; the key says all that they depend on
    <cache>/mapped/<kind>-<key>.lock           held by whoever computes

Pages of a mapped file belong to the system's cache of files, however many processes have it mapped;
a process that writes to such a tensor gets its own copy of the page. A file is never changed:
tensors that depend on something else have another name, and a file that is removed stays readable
where it is mapped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from trainable.cache.cache import locked, remove_oldest
from trainable.cache.files import cache_folder, write_tensors

log = logging.getLogger(__name__)

_MOST_BYTES = 20 * 2**30  # of all files together; those unused for longest go first


def mapped(
    kind: str, identity: dict[str, Any], compute: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return tensors on the CPU, mapped from the file that the first process wrote.

    Args:
        kind: First part of the file's name, for people who look into the folder.
        identity: All that they depend on, as JSON values.
        compute: Called by one process at a time, while the others wait.

    Raises:
        InputError: The cache cannot be written to.
    """
    folder = cache_folder() / "mapped"
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    path = folder / f"{kind}-{key}.safetensors"
    found = _load(path)
    if found is not None:
        return found
    with locked(path.with_suffix(".lock"), "what processes share"):
        return _load(path) or _compute(path, compute)


def code_digest(*paths: Path) -> str:
    """Return 16 hex digits of source files: as part of a key, so that other code computes anew."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _load(path: Path) -> dict[str, Tensor] | None:
    """Map a file; return None if it is missing or not whole."""
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        log.warning("%s cannot be read and is computed again: %s", path, error)
        return None
    with suppress(OSError):  # a file of another user; it is then removed a little earlier
        os.utime(path)  # the time of its last use
    return tensors


def _compute(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Compute, write, and map the file, so that this process holds no copy of its own either."""
    tensors = compute()
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that died
        with suppress(OSError):  # gone already, or of another user
            leftover.unlink()
    try:
        write_tensors(path, tensors)
    except (OSError, SafetensorError) as error:  # a full disk must not cost the search
        log.warning("cannot write %s, so that each process holds its own copy: %s", path, error)
        return tensors
    remove_oldest(path.parent.glob("*.safetensors"), _MOST_BYTES, keep=path)
    return _load(path) or tensors
