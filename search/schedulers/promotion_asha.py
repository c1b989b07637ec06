"""ASHA as in its paper: trials pause at rungs, and the best of each rung are promoted."""

from __future__ import annotations

import math
import random
from bisect import bisect_right, insort

from search.log.history import History
from search.log.trial import TrialRecord
from search.schedulers.asha_rung import Key, Rung
from search.schedulers.base import Decision
from search.schedulers.rungs import rungs


class PromotionASHA:
    """ASHA in its published form: every trial pauses at a rung, and the best 1/eta are promoted.

    A free slot goes to the best promotable trial of the highest rung, or to a new trial if none is
    promotable. A trial that would be promoted at once keeps its slot.

    Source: Li et al. 2020 (arXiv:1810.05934), Algorithm 2, `get_job`. Deviations: the
    bracket of each trial is drawn, with Hyperband's shares (Li et al. 2018, Algorithm 1). The
    default goes on at every rung: its results count, and its place does not. If no trial
    beside the default has run to its full budget at the end, the best paused trial is promoted
    until one has. Once one has, a trial is stopped if it cannot be promoted even when all
    results still to come are worse, so that its checkpoint need not be kept.

    Args:
        history: History of the search; it is read again at every decision.
        units: Units of a full run.
        eta: One in eta trials passes a rung; at least 2.
        n_trials: Number of trials that the search will have.
        brackets: Number of brackets; the first rung of bracket b is at unit eta^b.
        seed: Seed of the draw of brackets.
    """

    def __init__(
        self,
        history: History,
        units: int,
        eta: int,
        n_trials: int,
        brackets: int,
        seed: int,
    ) -> None:
        self._history, self._eta, self.n_trials = history, eta, n_trials
        self._seed = seed
        levels = rungs(units, eta)[:-1]  # nothing is decided after a full run
        self._rungs = [{unit: Rung() for unit in levels[b:]} for b in range(brackets)]
        n_levels = len(levels)
        self._shares = [eta ** (n_levels - b) / (n_levels - b + 1) for b in range(brackets)]
        for trial in history.trials.values():
            for unit, rung in self._rungs[trial.bracket].items():
                if unit in trial.decided:
                    self._refill(rung, trial, unit)

    def _refill(self, rung: Rung, trial: TrialRecord, unit: int) -> None:
        key = _key(trial, unit)
        if not math.isfinite(key[0]):
            return
        _enter(rung, trial, key)
        # An older driver may have let the default pause; it is promoted before all others.
        if trial.decided[unit] == "continue" or unit in trial.promoted or trial.is_default:
            rung.n_promoted += 1
            return
        if trial.is_audited:  # it runs on, and waits for nothing
            return
        # A stopped trial becomes paused again when the search is resumed with more trials.
        if trial.status == "paused" or (trial.is_open and trial.decided[unit] == "pause"):
            insort(rung.waiting, key)

    def bracket(self, number: int) -> int:
        """Return the bracket of a trial, drawn from the seed and its number alone."""
        draw = random.Random(f"{self._seed} bracket {number}")
        return draw.choices(range(len(self._rungs)), self._shares)[0]

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        """Add a result to its rung; `continue` only if this trial is the next to be promoted.

        The default goes on whatever its score is.
        """
        rung = self._rungs[trial.bracket].get(unit)
        if rung is None:
            return None
        key = _key(trial, unit)
        if not math.isfinite(key[0]):
            last = len(rung.results) + 1
            return Decision("continue" if trial.is_default else "stop", last, last)
        _enter(rung, trial, key)
        rank, among = rung.rank(key), len(rung.results)
        if trial.is_default:
            rung.n_promoted += 1
            return Decision("continue", rank, among)
        insort(rung.waiting, key)
        best = self._best_promotable(with_running=True)
        if best is not None and best[2] == key:
            self._promote(rung, key)
            return Decision("continue", rank, among)
        most = self._most_results(trial.bracket)[unit] if self._one_is_done() else 0
        if most and rung.place(key) > most // self._eta:
            rung.waiting.remove(key)
            return Decision("stop", rank, among)
        return Decision("pause", rank, among)

    def next_promotion(self, *, draining: bool) -> tuple[TrialRecord, int, Decision] | None:
        """Return the best promotable trial of the highest rung, and count it as promoted."""
        for trial in self._history.trials.values():
            if trial.is_default and trial.status == "paused":  # by a driver of an older version
                unit = trial.units
                own = self._rungs[trial.bracket].get(unit, Rung())
                rank = own.rank(_key(trial, unit))
                return trial, unit, Decision("continue", rank, len(own.results))
        found = self._best_promotable(with_running=False)
        if found is None and draining:
            found = self._last_resort()
        if found is None:
            return None
        unit, rung, key = found
        decision = Decision("continue", rung.rank(key), len(rung.results))
        self._promote(rung, key)
        return self._history.trials[key[1]], unit, decision

    def unpromotable(self) -> list[TrialRecord]:
        """Return the paused trials that can never be promoted any more; each is returned once."""
        found: list[TrialRecord] = []
        if not self._one_is_done():
            return found  # until one is done, any waiting trial may be promoted at the end
        for bracket, levels in enumerate(self._rungs):
            most = self._most_results(bracket)
            for unit, rung in levels.items():
                while rung.waiting and rung.place(rung.waiting[-1]) > most[unit] // self._eta:
                    if not self._is_paused(rung.waiting[-1]):
                        break
                    found.append(self._history.trials[rung.waiting.pop()[1]])
        return found

    def _best_promotable(self, *, with_running: bool) -> tuple[int, Rung, Key] | None:
        """Return the rung and the key of the best promotable trial of the highest rung, or None.

        Args:
            with_running: Whether to include trials that are to pause and still save a checkpoint.
                They hold a slot, so they must not be promoted into another.
        """
        for unit, rung in self._highest_first():
            for key in rung.waiting:
                if rung.place(key) > len(rung.results) // self._eta:
                    break  # the keys after this one rank lower still
                if with_running or self._is_paused(key):
                    return unit, rung, key
        return None

    def _is_paused(self, key: Key) -> bool:
        return self._history.trials[key[1]].status == "paused"

    def _last_resort(self) -> tuple[int, Rung, Key] | None:
        if self._one_is_done():
            return None
        waiting = [(u, r, r.waiting[0]) for u, r in self._highest_first() if r.waiting]
        return waiting[0] if waiting else None

    def _one_is_done(self) -> bool:
        """Whether a trial beside the default has run to its end."""
        trials = self._history.trials.values()
        return any(trial.status == "done" and not trial.is_default for trial in trials)

    def _highest_first(self) -> list[tuple[int, Rung]]:
        levels = [pair for bracket in self._rungs for pair in bracket.items()]
        return sorted(levels, key=lambda pair: -pair[0])

    def _most_results(self, bracket: int) -> dict[int, int]:
        """Return the largest number of results that each rung of a bracket can have at the end.

        More than have a place at the end may go on, since a trial that was promoted as one of the
        best may be overtaken later. Most go on if all results still to come arrive in
        ascending order.
        """
        arrived = sum(len(next(iter(b.values())).results) for b in self._rungs if b)
        first = next(iter(self._rungs[bracket].values()), Rung())
        most, found = len(first.results) + max(0, self.n_trials - arrived), {}
        for unit, rung in self._rungs[bracket].items():
            found[unit] = most
            able = rung.rivals[: most // self._eta]
            to_come = most - len(rung.results) if most >= self._eta else 0
            most = rung.n_promoted + to_come
            most += bisect_right(rung.waiting, able[-1]) if able else 0
        return found

    def _promote(self, rung: Rung, key: Key) -> None:
        rung.waiting.remove(key)
        rung.n_promoted += 1


def _enter(rung: Rung, trial: TrialRecord, key: Key) -> None:
    insort(rung.results, key)
    if not trial.is_default:
        insort(rung.rivals, key)


def _key(trial: TrialRecord, unit: int) -> Key:
    return (-trial.score_at(unit), trial.number)
