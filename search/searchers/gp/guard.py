"""Guard: how far to trust the priors, by what their trials scored at the first rung."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from statistics import NormalDist

from search.log.history import History

_N_LAST = 16  # trials of each kind that are compared, the last ones
# Belief, before any trial, in how much more often than in half of all pairs a trial from the priors
# is better than a uniform one: its mean and standard deviation.
_ADVANTAGE, _DOUBT = 0.15, 0.2
_LEAST = 0.1  # share that is left to priors that look useless, so that they can come back


class Guard:
    """Compares trials from the priors, and given ones, with uniform draws at the first rung.

    The default, and what a model chose from the whole space, are of neither kind.

    Args:
        rung: Unit of the first rung.
    """

    def __init__(self, rung: int) -> None:
        self._rung = rung
        self._n_read = 0
        self._scores: dict[bool, deque[float]] = {
            is_uniform: deque(maxlen=_N_LAST) for is_uniform in (False, True)
        }

    def read(self, history: History) -> None:
        """Read the reports since the last call."""
        for number, unit in history.reports[self._n_read :]:
            trial = history.trials[number]
            kind = _is_uniform(trial.origin)
            if unit == self._rung and kind is not None:
                self._scores[kind].append(trial.score_at(unit))
        self._n_read = len(history.reports)

    @property
    def share(self) -> float:
        """Share of proposals that may use the priors, in [0.1, 1]; 1 where they do no harm."""
        guided, uniform = self._scores[False], self._scores[True]
        return min(1.0, max(_LEAST, 2 * probability_not_worse(guided, uniform)))


def probability_not_worse(scores: Collection[float], others: Collection[float]) -> float:
    """Return the probability that scores are, in general, not worse than others.

    Only ranks count, since scores of a first rung are often those of constant answers. The share of
    pairs in which a score is better has about a normal distribution (Mann & Whitney 1947), and so
    has the belief before.

    Args:
        scores: Scores; minus infinity is the worst.
        others: Scores to compare with.
    """
    belief, precision = _ADVANTAGE / _DOUBT**2, 1 / _DOUBT**2
    n, m = len(scores), len(others)
    if n and m:
        wins = sum((a > b) + 0.5 * (a == b) for a in scores for b in others) / (n * m)
        known = 12 * n * m / (n + m + 1)
        belief, precision = belief + known * (wins - 0.5), precision + known
    return NormalDist().cdf(belief / math.sqrt(precision))


def _is_uniform(origin: str) -> bool | None:
    """Return whether a trial was drawn uniformly; None if it is of neither kind."""
    if origin == "random":
        return True
    return None if origin.split(", ")[-1] in ("default", "base", "random", "rung-gp") else False
