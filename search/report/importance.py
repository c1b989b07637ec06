"""How much of the score each param decides, with an error, as far as the trials can say.

The measure is the share of the variance of the trials' ranks at the first unit that lies between
the values of a param (its kinds, or four bins of about equally many trials). What chance alone
would explain is taken off, so a param without any effect has a share around 0, also below:

    epsilon^2 = 1 - (1 - eta^2) (n - 1) / (n - k)        n trials, k values

Source: Kelley 1935, "An unbiased correlation ratio measure". Its standard error is a jackknife
that leaves out a twentieth of the trials at a time. Every trial reaches the first unit, so this
compares scores after equal budgets. Only main effects are measured; searchers choose values
together, so a share is a hint, and no experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from search.log.trial import TrialRecord
from spaces.params import Param
from trainable.component import Choice

MIN_TRIALS = 20  # fewer say nothing about importance
_MOST_TRIALS = 2000  # more are thinned out evenly: they would change the second decimal
_MIN_PER_VALUE = 3  # trials; rarer values are left out
_BINS, _JACKKNIFE = 4, 20
# What changed scores most in recorded runs, before a search has measured it (tests/benchmarks).
_KNOWN = (
    "multitask.optimization.lr",
    "multitask.optimization.head_lr",
    "multitask.optimization.schedule",
    "multitask.batch_order",
)


@dataclass(frozen=True)
class Importance:
    """What a param decides.

    Attributes:
        name: Of the param.
        share: Of the variance of ranks, at most 1; around 0 for a param without effect.
        error: Its standard error.
    """

    name: str
    share: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether the share is above 0 by more than two standard errors."""
        return self.share > 2 * self.error


def importances(params: Sequence[Param], trials: Sequence[TrialRecord]) -> list[Importance]:
    """Return the params that every trial has, most important first; none with too few trials."""
    usable = [
        t for t in trials if t.status != "failed" and t.reports.get(1, {}).get("score") is not None
    ]
    usable = thinned(usable, _MOST_TRIALS)
    if len(usable) < MIN_TRIALS:
        return []
    ranks = rankdata([t.reports[1]["score"] for t in usable])
    found = []
    for param in params:
        if param.parents or any(param.name not in t.params for t in usable):
            continue
        groups = _groups(param, [t.params[param.name] for t in usable])
        measured = _share(groups, ranks)
        if measured is not None:
            found.append(Importance(param.name, *measured))
    return sorted(found, key=lambda own: -own.share)


def usual_order(params: Sequence[Param]) -> list[Param]:
    """Return params as people look for them: how all is trained, then what every trial has.

    Of how all is trained, those come first that are known to matter.
    """

    def key(param: Param) -> tuple[int, bool, bool]:
        name = param.name
        return len(param.parents), name not in _KNOWN, not name.startswith("multitask.")

    return sorted(params, key=key)


def thinned(trials: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """Return at most so many of the trials, evenly chosen, in their order."""
    if len(trials) <= most:
        return list(trials)
    return [trials[int(i)] for i in np.linspace(0, len(trials) - 1, most)]


def _groups(param: Param, values: Sequence[object]) -> NDArray[np.int64]:
    """Return (n,) numbers of the values' groups."""
    if isinstance(param.domain, Choice):
        return np.unique([str(v) for v in values], return_inverse=True)[1]
    numbers = np.array(values, float)
    # Equal values share a bin.
    smaller = np.searchsorted(np.sort(numbers), numbers, side="left")
    return np.unique(smaller * _BINS // len(numbers), return_inverse=True)[1]


def _share(groups: NDArray[np.int64], ranks: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return epsilon^2 and its standard error; None where there is nothing to compare."""
    counts = np.bincount(groups)
    kept = counts[groups] >= _MIN_PER_VALUE
    groups, ranks = np.unique(groups[kept], return_inverse=True)[1], ranks[kept]
    if len(ranks) < MIN_TRIALS or groups.max() == 0 or np.ptp(ranks) == 0:
        return None
    parts = np.random.default_rng(0).permutation(len(ranks)) % _JACKKNIFE
    without = [_epsilon(groups[parts != p], ranks[parts != p]) for p in range(_JACKKNIFE)]
    error = np.sqrt((_JACKKNIFE - 1) * np.var(without))
    return _epsilon(groups, ranks), float(error)


def _epsilon(groups: NDArray[np.int64], ranks: NDArray[np.float64]) -> float:
    counts = np.bincount(groups)
    sums = np.bincount(groups, ranks - ranks.mean())
    there = counts > 0
    total = np.sum((ranks - ranks.mean()) ** 2)
    between = np.sum(sums[there] ** 2 / counts[there])
    n, k = len(ranks), int(there.sum())
    return float(1 - (1 - between / total) * (n - 1) / (n - k)) if total > 0 else 0.0
