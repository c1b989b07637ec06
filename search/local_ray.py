"""The local Ray of one search: nobody else may join it, and nobody else can.

Left alone, a local Ray listens on all interfaces, and writes the token that it asks for to a file
that every user of the machine may read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray._private import ray_constants
from ray._private.authentication import authentication_token_setup as tokens

# Tune moves little through the object store; Ray's default would take 30 % of the memory.
_OBJECT_STORE_BYTES = 200_000_000
# Marks the local Ray of one search: another must not join it, since it ends with that search.
PRIVATE = "private_to_one_search"


def start_local() -> None:
    """Start a Ray that listens on the loopback only, and connect to it."""
    _make_token()
    with _on_loopback():
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            resources={PRIVATE: 1.0},
            # Workers find this checkout whether it is installed or not, wherever they are started.
            runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


def is_private() -> bool:
    """Return whether Ray is the local one of this search: this machine, and nothing else."""
    return PRIVATE in ray.cluster_resources()  # type: ignore[no-untyped-call]


def _make_token() -> None:
    """Make the token that Ray would make, unless there is one; only this user may read it."""
    tokens.enable_token_auth_by_default()  # unless RAY_AUTH_MODE says something else
    mask = os.umask(0o077)
    try:
        tokens.ensure_token_if_auth_enabled(create_token_if_missing=True)
    finally:
        os.umask(mask)
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)  # Ray may have made it earlier


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1 for this machine's address, as it does on systems without clusters.

    It has no option for that: `_node_ip_address="127.0.0.1"` becomes the machine's own again.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _python_path() -> str:
    given = os.environ.get("PYTHONPATH")
    root = str(Path(__file__).resolve().parents[1])
    return f"{root}{os.pathsep}{given}" if given else root
