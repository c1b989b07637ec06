"""Ctrl-C during training: the first press stops after the step, the second ends at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console

from trainable.training.loop import RunLeft

STATUS = 128 + signal.SIGINT  # what a shell gives to a program that Ctrl-C ends


class StopRequest:
    """Catches Ctrl-C as a context manager.

    Args:
        console: Where it says what it does.
        kept: What is said of the results, such as `what is trained so far is kept`.
    """

    def __init__(self, console: Console, kept: str) -> None:
        self._console, self._kept = console, kept
        self._is_set = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise `RunLeft` once Ctrl-C was pressed."""
        if self._is_set:
            raise RunLeft

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        if self._is_set:
            self._console.show_cursor(True)  # the progress bar hides it
            os._exit(STATUS)
        self._is_set = True
        self._console.print(
            f"stopping after this step; {self._kept}. Ctrl-C again ends at once", markup=False
        )
