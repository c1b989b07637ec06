"""What the commands share that read the log of a search: `export`, `replay` and `report`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from search.log.events import read_events
from search.log.folder import SearchFolder
from search.log.history import History
from trainable.errors import InputError


def print_answer(answer: Callable[[], str]) -> int:
    """Print what a command answers, or what is wrong; returns the exit status."""
    try:
        print(answer())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_history(folder: SearchFolder) -> History:
    """Return the history of a search.

    Raises:
        InputError: The storage cannot be read, the search has not begun, or its log is of another
            version.
    """
    path = folder.fetch_log()
    history = History(read_events(path))
    if not history.header:
        raise InputError(f"{path}: has no whole first line: the search was stopped before it began")
    return history
