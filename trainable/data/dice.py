"""Random draws that are the same in every version of Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from `random()` alone: the one method whose sequence Python promises to keep."""

    def __init__(self, seed: str) -> None:
        """Seed with a string; it is hashed with SHA-512, not with Python's salted `hash`."""
        self._random = random.Random(seed).random

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, all equally likely."""
        return items[int(self._random() * len(items))]

    def chance(self, probability: float) -> bool:
        """Return True with the probability."""
        return self._random() < probability

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """Return n different items."""
        rest = list(items)
        return [rest.pop(int(self._random() * len(rest))) for _ in range(n)]
