"""The local Ray of one search, which no other user and no other search can join.

By default a local Ray listens on all interfaces, and writes the token that it asks for to a file
that every user of the machine may read.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ray

from search.cluster.ray_internals import make_token, on_loopback

# Tune puts little into the object store; by default Ray takes 30 % of the memory for it.
_OBJECT_STORE_BYTES = 200_000_000
# A resource that marks this Ray. Another search must not join it, since it ends with its own.
PRIVATE = "private_to_one_search"


def start_local() -> None:
    """Start a Ray that listens on the loopback only, and connect to it."""
    _make_private_token()
    with on_loopback():
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            resources={PRIVATE: 1.0},
            # Lets workers import this checkout even where it is not installed.
            runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


def is_private() -> bool:
    """Return whether Ray is the local one of this search, which runs on this machine only."""
    return PRIVATE in ray.cluster_resources()  # type: ignore[no-untyped-call]


def _make_private_token() -> None:
    """Make the token of Ray unless there is one, such that only this user may read it."""
    mask = os.umask(0o077)
    try:
        make_token()
    finally:
        os.umask(mask)
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)  # Ray may have made it earlier


def _python_path() -> str:
    given = os.environ.get("PYTHONPATH")
    root = str(Path(__file__).resolve().parents[2])
    return f"{root}{os.pathsep}{given}" if given else root
