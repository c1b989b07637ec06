"""Results of stages, cached under a digest of all that they depend on and shared by runs.

    <folder>/<key>/encoder.safetensors    the weights
    <folder>/<key>/stage.json             what they depend on, and a digest of the other file
    <folder>/<key>.lock                   held by whoever computes

The first process computes; the others wait and read. The operating system releases the lock of a
process that dies, and a folder gets its final name when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from trainable.cache.cache import locked, remove_oldest
from trainable.cache.files import file_digest, write_json, write_tensors
from trainable.model.weights import Parameters

log = logging.getLogger(__name__)

_WEIGHTS = "encoder.safetensors"
_RECORD = "stage.json"
_MOST_BYTES = 50 * 2**30  # of all results together; those unused for longest go first

Identity = dict[str, Any]  # all that a result depends on, as JSON values


def identity_key(identity: Identity) -> str:
    """Return the name of a result's folder, 64 hex digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class StageCache:
    """Encoder weights, by a digest of all that they depend on.

    Args:
        folder: Folder of the results; made when it is first written to.
        most_bytes: Bound on its size, kept by removing the results that were used longest ago.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def find(self, identity: Identity) -> Parameters | None:
        """Return a result, on the CPU; None if it is missing or not whole."""
        folder = self.folder / identity_key(identity)
        try:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            if record["key"] != folder.name or record["digest"] != file_digest(folder / _WEIGHTS):
                return None
            with suppress(OSError):  # a folder of another user; it is then removed a little earlier
                os.utime(folder)  # the time of its last use
            return load_file(folder / _WEIGHTS)
        except (OSError, ValueError, LookupError, TypeError, SafetensorError):
            return None

    def get(
        self, identity: Identity, compute: Callable[[], Parameters], on_wait: Callable[[], None]
    ) -> tuple[Parameters, bool]:
        """Return a result, and whether it was in the cache; compute and keep it if it was not.

        Args:
            identity: All that it depends on.
            compute: Called by one process at a time.
            on_wait: Called before waiting for a process that computes the same.

        Raises:
            InputError: The folder cannot be written to.
        """
        folder = self.folder / identity_key(identity)
        with locked(self.folder / f"{folder.name}.lock", "results of stages", on_wait):
            found = self.find(identity)
            if found is not None:
                return found, True
            if folder.exists():
                log.warning("%s holds no whole result of a stage; it is computed again", folder)
            weights = compute()
            try:
                self._write(folder, weights, identity)
            except (OSError, SafetensorError) as error:  # a full disk must not cost the work
                log.warning("cannot keep the result of a stage in %s: %s", folder, error)
        # A process that needs a removed result computes it again.
        remove_oldest(self.folder.glob("[0-9a-f]*/"), self.most_bytes, keep=folder)
        return weights, False

    def _write(self, folder: Path, weights: Parameters, identity: Identity) -> None:
        """Write a result; a reader sees all of it or nothing."""
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that died
        temporary.mkdir()
        write_tensors(temporary / _WEIGHTS, weights)
        digest = file_digest(temporary / _WEIGHTS)
        record = {"key": folder.name, "digest": digest, "depends_on": identity}
        write_json(temporary / _RECORD, record)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
