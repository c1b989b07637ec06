"""Guard: whether a suggestion may use the priors, by what their trials scored at the first rung."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort

import numpy as np

from search.log.history import History
from trainable.seeds import derive

# Beta distributions of how often a trial is in the upper half, before there is any: from what is
# known beforehand, in two of three; of uniform draws nothing is known.
_KNOWN, _UNIFORM = (2.0, 1.0), (1.0, 1.0)


class Guard:
    """Lets a suggestion use the priors as often as their trials are likely to be the better ones.

    A bandit with two arms: given points and proposals from the priors, and uniform draws. A trial
    counts as a success if its score at the first rung is above the median of both. Each suggestion
    draws a rate of success for each arm from its posterior, and takes the arm with the higher one.
    So useless priors are left within a few trials, and may come back. What a model chose from the
    whole space is of neither arm.

    Source: Chapelle & Li 2011, An Empirical Evaluation of Thompson Sampling, Algorithm 2.

    Args:
        seed: Seed of all draws.
        rung: Unit of the first rung.
    """

    def __init__(self, seed: int, rung: int) -> None:
        self._seed, self._rung = seed, rung
        self._n_read = 0
        self._known: list[float] = []  # ascending scores
        self._uniform: list[float] = []

    def read(self, history: History) -> None:
        """Read the reports since the last call."""
        for number, unit in history.reports[self._n_read :]:
            trial = history.trials[number]
            if unit != self._rung or trial.origin in ("rung-gp", "rung-gp, random"):
                continue
            arm = self._uniform if trial.origin == "random" else self._known
            insort(arm, trial.score_at(unit))  # minus infinity for NaN
        self._n_read = len(history.reports)

    def trusts(self, number: int) -> bool:
        """Return whether the suggestion for a trial may use the priors."""
        scores = self._known + self._uniform
        median = float(np.median(scores)) if scores else 0.0
        draw = random.Random(derive(self._seed, "guard", number))

        def rate(arm: list[float], before: tuple[float, float]) -> float:
            below, above = bisect_left(arm, median), len(arm) - bisect_right(arm, median)
            equal = len(arm) - below - above  # half of them count as successes
            return draw.betavariate(before[0] + above + equal / 2, before[1] + below + equal / 2)

        return rate(self._known, _KNOWN) >= rate(self._uniform, _UNIFORM)
