"""What a model of the scores at one rung is fitted to: results, trials behind them, failed ones.

Kept sorted while a search goes on, so that a proposal after 10,000 trials looks at few of them.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from search.history import History
from search.trial_record import TrialRecord
from spaces.walk import Param

# A model gets at most so many trials. It takes a tenth of results and failed trials for good: the
# best results are so many, and the others a fair sample of all others.
_N_BEST = 9
_N_OTHERS = 71
_N_LIARS = 24
_N_FAILED = 10
_Key = tuple[float, int]  # minus the score, place of the trial: the smallest is the best
_T = TypeVar("_T")


@dataclass(frozen=True)
class Known:
    """What is known at one rung.

    Attributes:
        unit: The rung.
        results: Trials with a score there, best first, and then a sample of all others.
        liars: Trials without one that count as poor ones there.
        failed: Trials that failed, or whose score became NaN.
    """

    unit: int
    results: list[TrialRecord]
    liars: list[TrialRecord]
    failed: list[TrialRecord]


class RungResults:
    """Sorts the trials of a history by what they say at each rung.

    Trials have a place here, which orders those of equal score: imported ones, then the search's.
    Those whose params are outside the space have none.

    Attributes:
        trials: By place.
        place_of: Of the search's own trials, by number.
        imported: Places of the others.
        failed: Places of trials that failed, or whose score became NaN, ascending.
        under_way: Places of trials that run or will at once, ascending.

    Args:
        rungs: Units at which trials are compared.
        params: What the model is of.
    """

    def __init__(self, rungs: Sequence[int], params: Iterable[Param]) -> None:
        self._rungs = sorted(rungs, reverse=True)
        self._domains = {param.name: param.domain for param in params}
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = history
        self._n_read = (0, 0, 0)  # imported, suggested, changes
        self.trials: list[TrialRecord] = []
        self.place_of: dict[int, int] = {}
        self.imported: list[int] = []
        self._filed: list[tuple[str, int]] = []  # place -> status and units when last filed
        self._results: dict[int, list[_Key]] = {unit: [] for unit in self._rungs}
        self._behind: dict[int, list[int]] = defaultdict(list)  # units -> paused and stopped trials
        self.under_way: list[int] = []
        self.failed: list[int] = []

    def read(self, history: History) -> None:
        """Take note of what happened since the last time; of everything, if it is another one."""
        if history is not self._history:
            self._begin(history)
        imported, suggested, changes = self._n_read
        new = (*history.imported[imported:], *islice(history.trials.values(), suggested, None))
        changed = set(history.changes[changes:])
        self._n_read = (len(history.imported), len(history.trials), len(history.changes))
        for place in sorted(self.place_of[n] for n in changed if n in self.place_of):
            for own, key in self._lists(place, *self._filed[place]):
                del own[bisect_left(own, key)]
            self._file(place)
        for trial in new:
            if self._fits(trial):
                place = len(self.trials)
                self.trials.append(trial)
                self._filed.append(("", 0))
                if trial.number >= 0:
                    self.place_of[trial.number] = place
                else:
                    self.imported.append(place)
                self._file(place)

    def _fits(self, trial: TrialRecord) -> bool:
        known = self._domains
        return all(n in known and known[n].contains(v) for n, v in trial.params.items())

    def _file(self, place: int) -> None:
        trial = self.trials[place]
        self._filed[place] = (trial.status, trial.units)
        for own, key in self._lists(place, *self._filed[place]):
            insort(own, key)

    def _lists(self, place: int, status: str, units: int) -> list[tuple[list[Any], Any]]:
        """Return the lists in which a trial of such a state is, and its keys there."""
        trial = self.trials[place]
        is_lost = status in ("done", "stopped") and units and trial.score_at(units) == -math.inf
        if status == "failed" or is_lost:
            return [(self.failed, place)]
        found: list[tuple[list[Any], Any]] = [
            (own, (-trial.score_at(unit), place))
            for unit, own in self._results.items()
            if unit <= units and trial.score_at(unit) > -math.inf
        ]
        if status in ("paused", "stopped"):
            found.append((self._behind[units], place))
        elif status != "done":
            found.append((self.under_way, place))
        return found

    def at(self, unit: int, n_best: int, n_others: int, draw: random.Random) -> list[int]:
        """Return the places of the best trials at a rung, best first, and a sample of the others.

        Args:
            unit: The rung.
            n_best: How many of the best, at most.
            n_others: How many others, at most.
            draw: Of the sample.
        """
        keys = self._results[unit]
        return [place for _, place in keys[:n_best] + some(keys[n_best:], n_others, draw)]

    def known(self, min_results: int, draw: random.Random) -> Known | None:
        """Return what is known at the highest rung with enough results; None where there is none.

        Args:
            min_results: Scores that a rung needs.
            draw: Of the samples, and of who counts as poor.
        """
        unit = next((u for u in self._rungs if len(self._results[u]) >= min_results), None)
        if unit is None:
            return None
        results = [self.trials[place] for place in self.at(unit, _N_BEST, _N_OTHERS, draw)]
        under_way = [self.trials[place] for place in self.under_way]
        liars = some([t for t in under_way if unit not in t.reports], _N_LIARS, draw)
        below = chain.from_iterable(own for u, own in sorted(self._behind.items()) if u < unit)
        left = [self.trials[place] for place in some(list(below), 2 * _N_LIARS, draw)]
        liars += _poor(left, unit, results, draw)[: _N_LIARS - len(liars)]
        failed = [self.trials[place] for place in some(self.failed, _N_FAILED, draw)]
        return Known(unit, results, liars, failed)


def _poor(
    left: list[TrialRecord], unit: int, results: list[TrialRecord], draw: random.Random
) -> list[TrialRecord]:
    """Return those of the paused and stopped trials that count as poor at a unit not reached.

    Each with the probability that is Kendall's tau between the results after its own last unit and
    after `unit`: where curves cross, and those that rise slowly end best, it says nothing against a
    trial that others were promoted before it.
    """
    agreement: dict[int, float] = {}
    for at in {trial.units for trial in left}:
        both = [(trial.score_at(at), trial.score_at(unit)) for trial in results]
        agreement[at] = _kendall_tau(both)
    return [trial for trial in left if draw.random() < agreement[trial.units]]


def _kendall_tau(both: list[tuple[float, float]]) -> float:
    """Return tau-b in [-1, 1]; 0 where one side has one value only.

    Of a hundred pairs at most: scipy's takes ten times as long for so few.
    """
    x, y = (np.array(side)[:, None] for side in zip(*both, strict=True))
    x_order, y_order = (1.0 * (a > a.T) - 1.0 * (a < a.T) for a in (x, y))  # (pairs, pairs)
    ties = math.sqrt((x_order**2).sum() * (y_order**2).sum())
    return float((x_order * y_order).sum() / ties) if ties else 0.0


def some(things: list[_T], n: int, draw: random.Random) -> list[_T]:
    """Return all, or a sample of n where there are more."""
    return things if len(things) <= n else draw.sample(things, n)
