"""The results at one rung of one bracket."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

Key = tuple[float, int]  # (-score, trial number): the smallest is the best


@dataclass
class Rung:
    """The results at one rung of one bracket.

    Attributes:
        results: Keys of all results, best first.
        rivals: The same without the default, which takes no place away from the others.
        waiting: Keys of the trials that paused here and were not promoted yet, best first. The
            default is not among them.
        n_promoted: Number of trials that went on from this rung.
    """

    results: list[Key] = field(default_factory=list)
    rivals: list[Key] = field(default_factory=list)
    waiting: list[Key] = field(default_factory=list)
    n_promoted: int = 0

    def rank(self, key: Key) -> int:
        return bisect_left(self.results, key) + 1

    def place(self, key: Key) -> int:
        """Return the rank among all but the default."""
        return bisect_left(self.rivals, key) + 1
