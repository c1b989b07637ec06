"""RungResults: which trials have a score at each rung, which are pending, and which failed.

The lists are kept sorted during the search, so that a suggestion after 10,000 trials reads few.
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

_Key = tuple[float, int]  # (-score, index of the trial): the smallest is the best
_T = TypeVar("_T")


class RungResults:
    """Sorts the trials of a history by their scores at each rung.

    Each trial has an index: imported trials come first, then those of the search by number. Of
    equal scores the lower index ranks first. Trials with params outside the space are left out.

    Attributes:
        trials: All trials, by index.
        index_of: Trial number -> index, for the trials of the search.
        imported: Indices of imported trials, ascending.
        failed: Indices of trials that failed, or whose score became NaN, ascending.
        pending: Indices of trials that are running or interrupted, ascending.

    Args:
        rungs: Units at which trials are compared.
        params: Params of the space.
    """

    def __init__(self, rungs: Sequence[int], params: Iterable[Param]) -> None:
        self._rungs = sorted(rungs, reverse=True)
        self._domains = {param.name: param.domain for param in params}
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = history
        self._n_read = (0, 0, 0)  # numbers of imported trials, trials and changes
        self.trials: list[TrialRecord] = []
        self.index_of: dict[int, int] = {}
        self.imported: list[int] = []
        self._filed: list[tuple[str, int]] = []  # by index: status and units when filed
        self._results: dict[int, list[_Key]] = {unit: [] for unit in self._rungs}
        self.pending: list[int] = []
        self.failed: list[int] = []

    def read(self, history: History) -> None:
        """Read what happened since the last call; read everything if it is another history."""
        if history is not self._history:
            self._begin(history)
        imported, suggested, changes = self._n_read
        new = (*history.imported[imported:], *islice(history.trials.values(), suggested, None))
        changed = set(history.changes[changes:])
        self._n_read = (len(history.imported), len(history.trials), len(history.changes))
        for index in sorted(self.index_of[n] for n in changed if n in self.index_of):
            for own, key in self._lists(index, *self._filed[index]):
                del own[bisect_left(own, key)]
            self._file(index)
        for trial in new:
            if self._fits(trial):
                index = len(self.trials)
                self.trials.append(trial)
                self._filed.append(("", 0))
                if trial.number >= 0:
                    self.index_of[trial.number] = index
                else:
                    self.imported.append(index)
                self._file(index)

    def _fits(self, trial: TrialRecord) -> bool:
        known = self._domains
        return all(n in known and known[n].contains(v) for n, v in trial.params.items())

    def _file(self, index: int) -> None:
        trial = self.trials[index]
        self._filed[index] = (trial.status, trial.units)
        for own, key in self._lists(index, *self._filed[index]):
            insort(own, key)

    def _lists(self, index: int, status: str, units: int) -> list[tuple[list[Any], Any]]:
        """Return the lists that a trial in this state is in, and its keys there."""
        trial = self.trials[index]
        is_lost = status in ("done", "stopped") and units and trial.score_at(units) == -math.inf
        if status == "failed" or is_lost:
            return [(self.failed, index)]
        found: list[tuple[list[Any], Any]] = [
            (own, (-trial.score_at(unit), index))
            for unit, own in self._results.items()
            if unit <= units and trial.score_at(unit) > -math.inf
        ]
        if status in ("running", "interrupted"):
            found.append((self.pending, index))
        return found

    def at(self, unit: int, n_best: int, n_others: int, draw: random.Random) -> list[int]:
        """Return indices of the best trials at a rung, best first, then a sample of the others.

        Args:
            unit: Unit of the rung.
            n_best: Largest number of best trials.
            n_others: Largest number of others.
            draw: Source of the random numbers.
        """
        keys = self._results[unit]
        return [index for _, index in keys[:n_best] + some(keys[n_best:], n_others, draw)]

    def best_third(self, n_best: int) -> list[int]:
        """Return the best third of the trials at each rung, each once, highest rung first.

        Args:
            n_best: Largest number of trials of a rung.
        """
        found: dict[int, None] = {}
        for keys in self._results.values():
            n = min(n_best, math.ceil(len(keys) / 3))
            found |= dict.fromkeys(index for _, index in keys[:n])
        return list(found)


def some(things: list[_T], n: int, draw: random.Random) -> list[_T]:
    """Return all things, or a random sample of n if there are more."""
    return things if len(things) <= n else draw.sample(things, n)
