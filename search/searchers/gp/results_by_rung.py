"""Which trials have a score at each rung, which are under way, and which failed.

Kept sorted while a search goes on, so that a suggestion after 10,000 trials looks at few of them.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from search.log.history import History
from search.log.trial import TrialRecord
from spaces.params import Param

_Key = tuple[float, int]  # minus the score, place of the trial: the smallest is the best
_T = TypeVar("_T")


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
        if status in ("running", "interrupted"):
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


def some(things: list[_T], n: int, draw: random.Random) -> list[_T]:
    """Return all, or a sample of n where there are more."""
    return things if len(things) <= n else draw.sample(things, n)
