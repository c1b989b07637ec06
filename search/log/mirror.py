"""Copies the event log to a remote storage while the search runs.

The head of a cluster may be lost together with its disk. Then the copy is all that a later driver
knows, so nothing is deleted from the storage before the copy says so.

Nor does a lock keep a driver on another machine away. If one goes on with the search, the log in
the storage is no longer what this driver wrote: then this one copies and deletes nothing more.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

import pyarrow

from search.log.folder import EVENTS, SearchFolder

_SECONDS = 10.0
_SECONDS_PER_COPYING_SECOND = 20  # so that copying takes at most a twentieth of the time
_CLOSE_SECONDS = 60.0


class Mirror:
    """A thread that copies the log whenever it has grown.

    Attributes:
        folder: Of the search.
        error: Why the last attempt failed; None if it did not.
        failing_since: When attempts began to fail, in seconds of the monotonic clock; else None.
        is_overtaken: Whether another driver writes the log in the storage.
        busy_since: When the present action in the storage began, by that clock; None between
            actions. With a storage that does not answer, it may stay so for ever.

    Args:
        folder: Of the search; nothing is done if it is not copied.
    """

    def __init__(self, folder: SearchFolder) -> None:
        self.folder = folder
        self._stop = threading.Event()
        self._copied = 0
        self._sizes: set[int] = set()  # that the log in the storage may have if we alone write it
        self._waiting: deque[Callable[[], None]] = deque()
        self.error: str | None = None
        self.failing_since: float | None = None
        self.busy_since: float | None = None
        self.is_overtaken = False
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        if folder.is_copied:
            self._thread.start()

    def _run(self) -> None:
        wait, is_last = _SECONDS, False
        while not is_last:
            is_last = self._stop.wait(wait)
            wait = max(_SECONDS, _SECONDS_PER_COPYING_SECOND * self._copy())

    def after_copy(self, action: Callable[[], None]) -> None:
        """Do something once all that the log says now is in the storage; at once if it is local.

        An action that fails with an `OSError` is tried again after the next copy. If the storage is
        local, it is not tried again: a file may be open elsewhere, and what was to be deleted is
        swept later.
        """
        if self.folder.is_copied:
            self._waiting.append(action)
        else:
            with contextlib.suppress(OSError):
                action()

    def _copy(self) -> float:
        """Copy the log if it has grown, then run the actions that wait; returns the seconds."""
        started = self.busy_since = time.monotonic()
        n_waiting = len(self._waiting)  # the copy need not know of actions that come later
        try:
            size = (self.folder.local / EVENTS).stat().st_size
            if size == self._copied and self.error is None and not n_waiting:
                return 0.0
            if self._is_overtaken():
                self.is_overtaken = True
                return 0.0
            self._sizes.add(size)  # also if the storage takes it and its answer is lost
            self.folder.publish_log(size)
            self._sizes = {size}
            for _ in range(n_waiting):
                self.busy_since = time.monotonic()
                self._waiting[0]()
                self._waiting.popleft()
        # The watchdog warns of it, and ends the search if it lasts.
        except (OSError, pyarrow.ArrowException) as error:
            self.error = str(error)
            self.failing_since = self.failing_since or started
        else:
            self._copied, self.error, self.failing_since = size, None, None
        finally:
            self.busy_since = None
        return time.monotonic() - started

    def _is_overtaken(self) -> bool:
        if self.is_overtaken or not self._sizes:
            return self.is_overtaken
        there = self.folder.stored_log_bytes()
        return there is not None and there not in self._sizes

    def close(self) -> str:
        """Copy what is new, and end the thread; the rest is left to `SearchFolder.publish`.

        Returns:
            Why nothing more may be written to the storage: it did not answer for a minute, so that
            the next request may never return, or another driver writes there. Else empty.
        """
        self._stop.set()
        before = -1.0
        while self._thread.is_alive() and self.busy_since != before:  # many actions take their time
            before = self.busy_since or 0.0
            self._thread.join(_CLOSE_SECONDS)
        if self.is_overtaken:
            return "is written by another driver of this search"
        return "does not answer" if self._thread.is_alive() else ""
