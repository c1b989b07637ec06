"""Writes trials to a tracker from a thread of its own, so that the search never waits for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from search.log.trial import TrialRecord

RETRY_SECONDS = 30.0  # after a failure
CLOSE_SECONDS = 60.0  # without progress, when the search is over
_LONGEST = 200  # characters of an error


class Tracker(Protocol):
    """Keeps the runs of one tracker up to date; all calls come from one thread."""

    def write(self, trial: TrialRecord) -> None:
        """Bring the run of a trial up to date with its record."""

    def close(self) -> None:
        """End what is still open."""


class Feed:
    """A thread that writes to a tracker the newest record of each trial.

    What fails is said once, and tried again. No error of a tracker reaches the search.

    Args:
        name: Of the tracker.
        tracker: Is written to.
        say: Prints a line.
    """

    def __init__(self, name: str, tracker: Tracker, say: Callable[[str], None]) -> None:
        self._name, self._tracker, self._say = name, tracker, say
        self._waiting: dict[int, TrialRecord] = {}
        self._missed: set[int] = set()
        self._changed = threading.Condition()
        self._is_closing = self._is_closed = self._has_failed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, trial: TrialRecord) -> None:
        """Let the thread write a trial as it is now."""
        with self._changed:
            self._waiting[trial.number] = replace(trial, reports=dict(trial.reports))
            self._changed.notify()

    def close(self) -> None:
        """Wait for what is still to be written, while there is progress."""
        if self._is_closing:
            return
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        left = -1
        while self._thread.is_alive() and left != (left := len(self._waiting)):
            self._thread.join(CLOSE_SECONDS)
        missed = sorted(self._missed | set(self._waiting))
        if missed or not self._is_closed:
            of = "trial" if len(missed) == 1 else "trials"
            which = f"{of} {', '.join(map(str, missed))}" if missed else "the last trials"
            self._say(f"warning: --log {self._name}: {which} may be incomplete there")

    def _run(self) -> None:
        while (trial := self._next()) is not None:
            done = self._try(lambda trial=trial: self._tracker.write(trial))  # type: ignore[misc]
            with self._changed:
                if done and self._waiting[trial.number] is trial:
                    del self._waiting[trial.number]
                elif not done:  # another trial comes first next time
                    again = self._waiting.pop(trial.number)
                    if self._is_closing:
                        self._missed.add(trial.number)
                    else:
                        self._waiting[trial.number] = again
                        self._changed.wait_for(lambda: self._is_closing, RETRY_SECONDS)
        self._is_closed = self._try(self._tracker.close)

    def _next(self) -> TrialRecord | None:
        """Return what has waited longest; None when the search is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return next(iter(self._waiting.values()), None)

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:  # of any library: the search does not depend on a tracker
            if not self._has_failed:
                self._has_failed = True
                self._say(f"warning: --log {self._name}: {one_line(error)}; the search goes on")
            return False
        return True


def one_line(text: object) -> str:
    """Return the first line of a text, without the password of a URL."""
    first = next(iter(str(text).strip().splitlines()), "") or type(text).__name__
    shown = re.sub(r"(://)[^/@\s]*@", r"\1", first)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
