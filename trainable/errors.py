"""The one exception for bad input, the "did you mean" that goes with it, and full disks."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

_FULL_DISK = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


class InputError(ValueError):
    """Something that the user gave is wrong: a file, an option, a value.

    The message says what is wrong, the value, what is allowed and what to do. Entry points print
    it without a traceback and exit with status 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'mean'?"` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def is_full_disk(error: BaseException | None) -> bool:
    """Return whether an error, which Ray may have wrapped, says that a disk or quota is full."""
    return any(text in str(error) for text in _FULL_DISK)
