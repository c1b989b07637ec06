"""Failures before the first success: a mistake that every trial would run into."""

from __future__ import annotations

import math


class EarlyFailures:
    """Counts attempts that fail before any trial of this driver has saved a checkpoint.

    Attributes:
        errors: What they failed with. Attempts that were under way when the first one failed count
            as one with it, since they may have shared a node.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._first = math.inf
        self._is_over = False

    def add(self, error: str, asked: float, now: float) -> None:
        """Take note of a failure.

        Args:
            error: What the attempt failed with.
            asked: When its job was handed out, in seconds of the dispatcher's clock.
            now: Seconds of the same clock.
        """
        if self._is_over:
            return
        if not self.errors or asked >= self._first:
            self.errors.append(error)
        self._first = min(self._first, now)

    def end(self) -> None:
        """A checkpoint was saved: from now on, failures are those of single trials or machines."""
        self._is_over = True
        self.errors.clear()
