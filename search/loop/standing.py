"""Where a search stands, as far as that decides what is left of it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite, log

from search.log.trial import TrialRecord

# The first results do not count in a trend: a searcher has no model of them yet, so they say little
# of the others.
_WITHOUT_MODEL = 10


@dataclass
class RungStanding:
    """The results at one rung of one bracket, as far as they decide what runs next.

    Attributes:
        rivals: (place, trial) of all results but that of the default, best first.
        waiting: The same of trials that pause there.
        n_results: Number of results, that of the default included.
    """

    rivals: list[tuple[float, int]] = field(default_factory=list)
    waiting: list[tuple[float, int]] = field(default_factory=list)
    n_results: int = 0

    def copy(self) -> RungStanding:
        return RungStanding(self.rivals.copy(), self.waiting.copy(), self.n_results)

    def promotable(self, eta: int) -> tuple[float, int] | None:
        """Return the best that waits if it is among the best 1/eta."""
        if not self.waiting:
            return None
        first = self.waiting[0]
        return first if bisect_left(self.rivals, first) < self.n_results // eta else None


@dataclass(frozen=True)
class Standing:
    """Where a search stands.

    Attributes:
        scheduler: `promotion-asha`, `asha` or `none`.
        levels: Units after which it decides, ascending; the last one ends a run.
        eta: About one in eta trials passes a rung.
        n_trials: Trials that the search will have.
        slots: Trials at a time, at least 1.
        trials: What has begun, in the order of their numbers.
        running: Trial that holds a slot -> seconds since it was last heard of.
        bracket: Trial -> its bracket, which begins at the level of that number.
        extra_runs: Units of each run of finalists that may follow when the trials are over.
        extra_slots: Such runs at a time, at most.
        audit: Share of the trials that would be stopped that run on to their ends, in [0, 1].
    """

    scheduler: str
    levels: tuple[int, ...]
    eta: int
    n_trials: int
    slots: int
    trials: Sequence[TrialRecord] = ()
    running: dict[int, float] = field(default_factory=dict)
    bracket: Callable[[int], int] = lambda number: 0
    extra_runs: Sequence[int] = ()
    extra_slots: int = 0
    audit: float = 0.0

    def results(self) -> dict[tuple[int, int], RungStanding]:
        """Return (unit, bracket) of each rung -> its results so far, highest rungs first."""
        found: dict[tuple[int, int], RungStanding] = {}
        if self.scheduler == "none":
            return found
        n_brackets = len(self.levels) if self.scheduler == "promotion-asha" else 1
        for unit in reversed(self.levels[:-1]):
            for bracket in range(n_brackets):
                if unit in self.levels[bracket:]:
                    found[unit, bracket] = RungStanding()
        for trial in self.trials:
            for unit in trial.decided:
                if (unit, trial.bracket) in found and isfinite(trial.score_at(unit)):
                    self._enter(found[unit, trial.bracket], trial, unit)
        return found

    def trend(self) -> tuple[int, float]:
        """Return how many results the first rung has, and the sum of -log of each one's share.

        That is the share of earlier results that are better. The first ten are left out.
        """
        earlier: list[float] = []
        total = 0.0
        for trial in self.trials:
            score = trial.score_at(self.levels[0])
            if not trial.is_default and isfinite(score):
                if len(earlier) >= _WITHOUT_MODEL:
                    total -= log((bisect_left(earlier, -score) + 0.5) / (len(earlier) + 1))
                insort(earlier, -score)
        return max(0, len(earlier) - _WITHOUT_MODEL), total

    def _enter(self, rung: RungStanding, trial: TrialRecord, unit: int) -> None:
        rung.n_results += 1
        if not trial.is_default:
            key = (-trial.score_at(unit), trial.number)
            insort(rung.rivals, key)
            if unit == trial.units and is_held_back(trial) and not trial.is_over:
                insort(rung.waiting, key)


def is_held_back(trial: TrialRecord) -> bool:
    """Return whether a scheduler ended a trial's last job; it may still save its checkpoint."""
    unit = trial.units
    if trial.is_audited:
        return False
    return trial.decided.get(unit, "continue") != "continue" and unit not in trial.promoted
