"""The scores of finalists over seeds, and what they vary with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from search.log.trial import TrialRecord
from search.loop import racing
from search.loop.racing import Estimate, Floats, SeedNoise
from trainable.training.corpus import Split

# Runs -> (n, n) covariance of their scores on a split over draws of examples.
Covariance = Callable[[Sequence[TrialRecord], Split], Floats]


class FinalistScores:
    """Scores of finalists' runs on one split, and what they vary with.

    Args:
        trials: The trials of the search.
        runs: Finalist -> its runs with new seeds.
        most: How many seeds count.
        split: *select* or *confirm*.
        covariance: Of scores over draws of examples.
        finalists: With at least one finished run each.
    """

    def __init__(
        self,
        trials: dict[int, TrialRecord],
        runs: dict[int, list[TrialRecord]],
        most: int,
        split: Split,
        covariance: Covariance,
        finalists: list[int],
    ) -> None:
        self._key = "score" if split == "select" else "confirm_score"
        self._split, self._covariance, self._trials = split, covariance, trials
        self._runs = {own: [r for r in runs[own][:most] if has_score(r)] for own in finalists}
        self._noise: SeedNoise = racing.seed_noise(
            [self._score(trials[own]) for own in finalists],
            [self.of(own) for own in finalists],
            [covariance(self._runs[own], split) for own in finalists],
        )

    def _score(self, run: TrialRecord) -> float:
        value = run.last.get(self._key)
        return math.nan if value is None else value

    def of(self, finalist: int) -> Floats:
        """Return (s,) scores with new seeds."""
        return np.array([self._score(run) for run in self._runs[finalist]])

    def with_first(self, finalist: int) -> float:
        """Return the mean over all seeds, the first included."""
        return float(np.mean([self._score(self._trials[finalist]), *self.of(finalist)]))

    def difference(self, first: int, second: int) -> Estimate:
        """Return how much better the first is, over new seeds and examples."""
        runs = [*self._runs[first], *self._runs[second]]
        own = self._covariance(runs, self._split)
        return racing.difference(self.of(first), self.of(second), own, self._noise)

    def mean(self, finalist: int) -> Estimate:
        """Return its mean score over new seeds and examples."""
        own = self._covariance(self._runs[finalist], self._split)
        return racing.mean_score(self.of(finalist), own, self._noise)


def has_score(run: TrialRecord) -> bool:
    """Return whether a run has ended with a score."""
    return run.status == "done" and math.isfinite(run.score)
