"""Keeps report.html up to date while a search runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from search.log.folder import SearchFolder
from search.log.history import History
from search.report.logged_search import LoggedSearch
from search.report.page.vega import NoScript, vega_script
from search.report.page.write_page import PAGE, write_page

_SECONDS = 60.0  # between two pages
_SECONDS_PER_WRITING_SECOND = 20  # so that writing takes at most a twentieth of the driver's time


class LivePage:
    """A watcher of the driver's loop that writes the page every minute.

    The page is written by the driver itself, since nothing else may read its history while it
    changes. The script of the charts may take seconds to make, so a thread makes it first.

    Args:
        folder: Of the search.
        history: Of the search; grows.
        say: Prints a line.
        clock: Returns seconds.
    """

    def __init__(
        self,
        folder: SearchFolder,
        history: History,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._history, self._say, self._clock = folder, history, say, clock
        self._due, self._problem = clock(), ""
        self._script = threading.Thread(target=_make_script, name="vega", daemon=True)
        self._script.start()

    def look(self) -> None:
        """Write the page if it is time; say once why it cannot be written."""
        started = self._clock()
        if started < self._due or self._script.is_alive() or not self._history.trials:
            return
        problem = ""
        try:
            search = LoggedSearch(self._folder.name, self._history)
            write_page(search, self._folder.local, self._folder.uri)
        except Exception as error:  # of any chart: the search does not depend on its page
            problem = f"{type(error).__name__}: {error}"
        if problem and problem != self._problem:
            self._say(f"warning: {PAGE} was not written ({problem}); the search goes on")
        self._problem = problem
        took = self._clock() - started
        self._due = started + max(_SECONDS, _SECONDS_PER_WRITING_SECOND * took)


def _make_script() -> None:
    with contextlib.suppress(NoScript):  # the page says why
        vega_script()
