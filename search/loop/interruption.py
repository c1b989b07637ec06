"""Ctrl-C and SIGTERM: the first one ends a command in order, the second one at once."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Self

from rich.console import Console

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # `ray job stop`, Slurm and Kubernetes send SIGTERM
_CLEAR_LINE = "\r\x1b[2K"  # of a terminal, where a status line may stand
_SHOW_CURSOR = "\x1b[?25h"  # which a status line hides


class Interruption:
    """Handles both signals while its `with` block lasts.

    Until `defer` is called, the first signal raises KeyboardInterrupt at once. From then on it is
    announced, and `look` raises what was chosen, so that nothing is cut off in the middle.
    A second signal always ends the process at once: the operating system then ends a local Ray.

    Args:
        announcement: What the first signal prints, such as `stopping: writing results`.
        error: What `look` raises.
    """

    def __init__(self, announcement: str, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._announcement, self._error = announcement, error
        self._is_requested = self._is_deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.install()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Handle the signals; call it again after `ray.init` and `ray.shutdown`, which undo it."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def defer(self) -> None:
        """Let signals wait for `look` from now on."""
        self._is_deferred = True

    def look(self) -> None:
        """Raise the error if a signal has come; called wherever the command can stop."""
        if self._is_requested:
            raise self._error

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_requested:
            _write(_SHOW_CURSOR if os.isatty(2) else "")
            os._exit(128 + number)
        self._is_requested = True
        if not self._is_deferred:
            raise KeyboardInterrupt
        clear = _CLEAR_LINE if os.isatty(2) else ""
        _write(f"{clear}{self._announcement} (again to stop now)\n")


def _write(text: str) -> None:
    """Write to stderr without its buffer, which the interrupted code may hold."""
    os.write(2, text.encode())


class SearchConsole(Console):
    """Where whoever read its output has gone, as `head` does, the search ends as after Ctrl-C."""

    def on_broken_pipe(self) -> None:
        """Print to nowhere from now on."""
        self.file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        os.dup2(self.file.fileno(), 1)
        signal.raise_signal(signal.SIGINT)
