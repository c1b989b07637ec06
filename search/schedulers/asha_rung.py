"""The results at one rung of one bracket, and how many of them may go on."""

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
        errors: Trial number -> standard error of its result.
        waiting: Keys of the trials that paused here and were not promoted yet, best first. The
            default is not among them.
        n_promoted: Number of trials that went on from this rung.
    """

    results: list[Key] = field(default_factory=list)
    rivals: list[Key] = field(default_factory=list)
    errors: dict[int, float] = field(default_factory=dict)
    waiting: list[Key] = field(default_factory=list)
    n_promoted: int = 0

    def rank(self, key: Key) -> int:
        return bisect_left(self.results, key) + 1

    def place(self, key: Key) -> int:
        """Return the rank among all but the default."""
        return bisect_left(self.rivals, key) + 1

    def n_places(self, eta: int) -> int:
        """Return how many of the best may go on: n // eta, and those within noise of the last.

        That is one standard error of its result. With them there are at most half as many again.
        """
        n = len(self.results) // eta
        if not 1 <= n < len(self.rivals):
            return n
        score, number = self.rivals[n - 1]
        return min(_with_noise(n), max(n, self.n_below(score + self.errors[number])))

    def n_below(self, bound: float) -> int:
        """Return how many rivals have a key below a bound: a score above it."""
        return bisect_left(self.rivals, (bound, -1))

    def most_places(self, eta: int, most: int, error: float) -> int:
        """Return how many of the results so far can get a place while results still come.

        A rank can only become worse, and the (n // eta)-th best result for any n up to `most` is
        not below the (most // eta)-th best of those so far.

        Args:
            eta: One in eta trials passes the rung.
            most: Largest number of results that it can have.
            error: Largest standard error that a result can have.
        """
        n = most // eta
        if error == 0 or n < 1:
            return n
        is_there = n <= len(self.rivals)
        within = self.n_below(self.rivals[n - 1][0] + error) if is_there else _with_noise(n)
        return min(_with_noise(n), max(n, within))


def _with_noise(n: int) -> int:
    """Return how many places there may be, with those within noise, of n: half as many again."""
    return 3 * n // 2
