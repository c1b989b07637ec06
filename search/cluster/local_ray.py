"""The local Ray of one search, which no other user and no other search can join.

By default a local Ray listens on all interfaces, and writes the token that it asks for to a file
that every user of the machine may read.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from pathlib import Path

import ray

from search.cluster import end_sessions
from search.cluster.ray_internals import in_own_sessions, make_token, on_loopback
from trainable.errors import InputError

# Tune puts little into the object store; by default Ray takes 30 % of the memory for it.
_OBJECT_STORE_BYTES = 200_000_000
# A session's sockets are below Ray's folder, and their paths have 107 bytes at most.
_LONGEST_FOLDER = 36
_DEFAULT_FOLDER = "/tmp/ray"
# A resource that marks this Ray. Another search must not join it, since it ends with its own.
PRIVATE = "private_to_one_search"


_watcher: subprocess.Popen[bytes] | None = None  # runs end_sessions.py


def start_local() -> None:
    """Start a Ray that listens on the loopback only, and connect to it.

    Raises:
        InputError: Ray cannot write its files, or does not answer in time.
    """
    global _watcher
    # Trials have an environment of their own, which the idle worker that Ray would start for each
    # core does not have: none would ever be used.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    try:
        _make_private_token()
        with on_loopback(), in_own_sessions() as sessions:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                resources={PRIVATE: 1.0},
                # Lets workers import this checkout even where it is not installed.
                runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=_short_folder(),
            )
    except OSError as error:
        raise InputError(
            f"a local Ray cannot start: {error}; set TMPDIR to a folder that this user may write to"
        ) from error
    except Exception as error:
        # Ray has no class of its own for this one.
        if type(error) is not Exception or "timed out during startup" not in str(error):
            raise
        raise InputError(
            "a local Ray cannot start: it did not answer within half a minute, as on a machine "
            "that is too busy; try again when it is less so"
        ) from error
    script = Path(end_sessions.__file__)
    _watcher = subprocess.Popen(
        [sys.executable, "-IS", str(script), *map(str, sessions)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def shut_down() -> None:
    """Disconnect from Ray; a local one ends, with all its processes."""
    global _watcher
    ray.shutdown()
    if _watcher is not None:
        _watcher.communicate()
        _watcher = None


def _short_folder() -> str | None:
    """Return the folder for Ray's files where its own choice is too long for names of sockets."""
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or ""
    return _DEFAULT_FOLDER if len(os.fsencode(chosen)) > _LONGEST_FOLDER else None


def is_private() -> bool:
    """Return whether Ray is the local one of this search, which runs on this machine only."""
    return PRIVATE in ray.cluster_resources()  # type: ignore[no-untyped-call]


def _make_private_token() -> None:
    """Make the token of Ray unless there is one, such that only this user may read it."""
    mask = os.umask(0o077)
    try:
        make_token()
    except OSError:  # HOME cannot be written to; Ray's processes then inherit a token from here
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
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
