"""A folder for temporary files of one process; a later process removes it if this one was killed.

Ray Tune writes a checkpoint for a remote storage to a temporary folder before it copies it. A
process that is killed meanwhile leaves it there: 1.3 GB for BERT-base with AdamW's moments.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from trainable.errors import InputError


def use_scratch() -> Path:
    """Let this process write temporary files to its own folder; remove folders of dead processes.

    Returns:
        The folder, `mtbert-UID/PID` below the usual place for temporary files.

    Raises:
        InputError: `mtbert-UID` there is a link or a file, or belongs to another user.
    """
    tempfile.tempdir = None  # forget what an earlier call chose
    parent = Path(tempfile.gettempdir()) / f"mtbert-{os.getuid()}"
    _make_private(parent)
    own = parent / str(os.getpid())
    own.mkdir(mode=0o700, exist_ok=True)
    for other in parent.iterdir():
        if other.name.isdigit() and not _is_alive(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)  # another process may be removing it, too
    tempfile.tempdir = str(own)
    return own


def _make_private(folder: Path) -> None:
    """Make a folder that nobody else can read or write, where anybody may have made another."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        there = folder.lstat()
        if not stat.S_ISDIR(there.st_mode):
            what = "is a link or a file"
        elif there.st_uid != os.getuid():
            what = f"belongs to another user (uid {there.st_uid})"
        else:
            folder.chmod(0o700)
            return
        raise InputError(
            f"the folder for temporary files, {folder}, {what}; remove it, or set TMPDIR to a "
            f"folder of your own"
        ) from None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process: it lives
        return True
    return True
