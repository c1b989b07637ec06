"""Play the rest of a search in a millisecond, with drawn results: how long will it take?

Nothing is trained and no score is drawn: what a scheduler decides depends on the ranks of results,
so a rank is drawn for each result that is still to come.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from search.loop.standing import RungStanding, Standing, is_held_back

_MOST_PLAYED = 300  # new trials; what more of them take follows from these
# The share of earlier results at a rung that are better than a new one is a uniform draw to the
# power of 1 / a. That is 1 where results do not get better while a search goes on, and less where
# they do. These count as so many results, and so large a sum of -log(share), before any is there.
_RESULTS, _SUM = 3.0, 5.0
Seconds = Callable[[int, int], float]  # (trial, unit) -> seconds
Key = Callable[[int, int], float]  # (trial, unit) -> place among the results of a rung, less first


@dataclass(frozen=True)
class Ending:
    """What the rest of a search took.

    Attributes:
        seconds: Until it was over.
        slot_seconds: That slots were held, all together.
        units: Units that were trained.
        checkpoints: Most that there were at a time: two of each trial that runs, one of each that
            waits, and those of the best full run and of the default.
    """

    seconds: float
    slot_seconds: float
    units: int
    checkpoints: int


class RestOfSearch:
    """One search that is played on to its end.

    Args:
        standing: Where it stands.
        results: From `standing.results()`; it is not changed.
        seconds: What units take.
        start_seconds: To begin a job.
        draw: Of the ranks to come. Whether results get better while a search goes on is not known
            beforehand, and drawn.
        place: Says the place of results instead of the draw, for tests.
    """

    def __init__(
        self,
        standing: Standing,
        results: dict[tuple[int, int], RungStanding],
        seconds: Seconds,
        start_seconds: float,
        draw: random.Random,
        place: Key | None = None,
    ) -> None:
        self._standing, self._draw, self._place = standing, draw, place
        self._seconds, self._start_seconds = seconds, start_seconds
        self._rungs = {key: own.copy() for key, own in results.items()}
        n, total = standing.trend()
        self._power = (_SUM + total) / draw.gammavariate(_RESULTS + n, 1.0)
        self._default = {t.number for t in standing.trials if t.is_default} or {0}
        self._audited = {trial.number for trial in standing.trials if trial.is_audited}
        self._brackets = {trial.number: trial.bracket for trial in standing.trials}
        self._n_begun = len(standing.trials)
        self._n_end = min(standing.n_trials, self._n_begun + _MOST_PLAYED)
        self._one_is_done = any(t.status == "done" and not t.is_default for t in standing.trials)
        # Trial and the units that it has, of those that go on whatever others do.
        self._open = deque(
            (t.number, t.units)
            for t in standing.trials
            if t.is_open and t.number not in standing.running and not is_held_back(t)
        )
        self._ends: list[tuple[float, int, int]] = []  # time when a unit ends, trial, unit
        self._now, self._held, self._units, self._most = 0.0, 0.0, 0, 0
        self._n_kept = sum(trial.status == "done" for trial in standing.trials)

    def play(self) -> Ending:
        """Play it; call it once."""
        standing, began = self._standing, self._n_begun
        for trial in standing.trials:
            if trial.number in standing.running and trial.units < standing.levels[-1]:
                self._train(trial.number, trial.units + 1, -standing.running[trial.number])
        slots, extra = standing.slots, standing.extra_runs
        while True:
            while len(self._ends) < slots and (job := self._next()):
                self._train(job[0], job[1] + 1, self._start_seconds)
            if not self._ends:
                if last := self._last_resort():
                    self._open.append(last)
                elif audited := self._to_audit():
                    self._open.extend(audited)
                elif extra:
                    self._open.extend((-1 - run, units) for run, units in enumerate(extra))
                    slots, extra = min(slots, standing.extra_slots), ()
                else:
                    return self._ending(standing.n_trials - max(began, self._n_end))
                continue
            self._most = max(self._most, 2 * len(self._ends) + self._n_waiting())
            self._now, number, unit = heapq.heappop(self._ends)
            self._units += 1
            if self._goes_on(number, unit):
                self._train(number, unit + 1, 0.0)

    def _ending(self, n_left_out: int) -> Ending:
        """Return what it took, with what trials take that were not played since they are many."""
        played = self._n_end - len(self._standing.trials)
        times = 1 + max(0, n_left_out) / played if played > 0 else 1.0
        slots = self._standing.slots
        more = (times - 1) * self._held / slots
        checkpoints = self._most + min(2, self._n_kept)
        return Ending(self._now + more, self._held * times, round(self._units * times), checkpoints)

    def _train(self, number: int, unit: int, start: float) -> None:
        seconds = self._seconds(number, unit)
        # A unit that has taken longer than usual already is over soon.
        took = max(0.05 * seconds, seconds + start)
        self._held += took
        heapq.heappush(self._ends, (self._now + took, number, unit))

    def _next(self) -> tuple[int, int] | None:
        """Return trial and units of the next job; None where there is none at the moment."""
        if self._open:
            return self._open.popleft()
        best = self._best_promotable()
        if best is not None:
            (unit, _), rung, key = best
            rung.waiting.remove(key)
            return key[1], unit
        if self._n_begun >= self._n_end:
            return None
        number = self._n_begun
        self._n_begun += 1
        self._brackets[number] = self._standing.bracket(number)
        return number, 0

    def _best_promotable(self) -> tuple[tuple[int, int], RungStanding, tuple[float, int]] | None:
        if self._standing.scheduler != "promotion-asha":
            return None
        for where, rung in self._rungs.items():
            key = rung.promotable(self._standing.eta)
            if key is not None:
                return where, rung, key
        return None

    def _last_resort(self) -> tuple[int, int] | None:
        """Return the best of the highest rung if no trial but the default has run to its end."""
        if self._one_is_done:
            return None
        for (unit, _), rung in self._rungs.items():
            if rung.waiting:
                return rung.waiting.pop(0)[1], unit
        return None

    def _to_audit(self) -> list[tuple[int, int]]:
        """Return trial and units of those that wait and are drawn to run on; others are over."""
        found = []
        for (unit, _), rung in self._rungs.items():
            found += [(number, unit) for _, number in rung.waiting if self._is_drawn()]
            rung.waiting.clear()
        self._audited.update(number for number, _ in found)
        return found

    def _is_drawn(self) -> bool:
        """Return whether a trial that would be stopped runs on."""
        return bool(self._standing.audit) and self._draw.random() < self._standing.audit

    def _goes_on(self, number: int, unit: int) -> bool:
        """Add a result to its rung; returns whether the trial keeps its slot."""
        if unit >= self._standing.levels[-1]:
            self._n_kept += 1
            self._one_is_done = self._one_is_done or number not in self._default
            return False
        rung = self._rungs.get((unit, self._brackets.get(number, 0)))
        if rung is None or number < 0 or number in self._audited:
            return True
        rung.n_results += 1
        if number in self._default:
            return True
        key = (self._new_place(rung, number, unit), number)
        if self._standing.scheduler == "asha":
            if self._passes(rung, key):
                return True
            if self._is_drawn():
                self._audited.add(number)
            return number in self._audited
        insort(rung.rivals, key)
        insort(rung.waiting, key)
        best = self._best_promotable()
        if best is not None and best[2] == key:
            rung.waiting.remove(key)
            return True
        return False

    def _passes(self, rung: RungStanding, key: tuple[float, int]) -> bool:
        """Return whether Ray's ASHA lets a trial go on: not below the quantile of those before."""
        better, before = bisect_left(rung.rivals, key), len(rung.rivals)
        insort(rung.rivals, key)
        return better <= (before - 1) / self._standing.eta or not before

    def _new_place(self, rung: RungStanding, number: int, unit: int) -> float:
        """Return the place of a result between two others, or before or behind all of them."""
        if self._place is not None:
            return self._place(number, unit)
        rivals = rung.rivals
        at = int((len(rivals) + 1) * self._draw.random() ** self._power)
        low = rivals[at - 1][0] if at else None
        high = rivals[at][0] if at < len(rivals) else None
        if low is None or high is None:
            return (0.0 if high is None else high - 1) if low is None else low + 1
        return low + (high - low) * self._draw.random()

    def _n_waiting(self) -> int:
        return sum(len(rung.waiting) for rung in self._rungs.values())
