"""Play a search to its end in milliseconds, with drawn scores: how many units will it train?

The real dispatcher and scheduler decide; slots answer by a clock of their own.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, cast

from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.algorithms import make_scheduler
from search.planning.options import SearchOptions
from search.searchers.base import Suggestion
from spaces.space import Space
from trainable.run_config import RunConfig

# Correlation of a trial's score at a rung with its quality. Only how many trials are promoted
# depends on it, and not much.
_CORRELATION = 0.8
_DRIFT = 1.0  # deviations by which the last trials may be better or worse than the first, at most


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a trial.

    Attributes:
        unit_seconds: Of a unit, of the usual configuration.
        last_seconds: What the last unit takes longer.
        start_seconds: To begin a trial, or to go on after a pause.
        spread: Standard deviation of the logarithm of a unit's seconds among configurations.
        doubt: Standard error of the logarithm of `unit_seconds`.
    """

    unit_seconds: float
    last_seconds: float
    start_seconds: float
    spread: float
    doubt: float


@dataclass(frozen=True)
class Beginning:
    """Where a search stands, from where it is played on.

    Attributes:
        options: Scheduler, its units, eta, brackets and seed.
        levels: Units after which the scheduler decides, ascending; the last one ends a run.
        n_trials: Trials of the search.
        origins: Who suggests the first trials: the scheduler may protect some.
        slots: Trials at a time.
        trials: What has happened so far.
        factors: Trial -> seconds of its units, in parts of the usual ones.
        spent: Trial that holds a slot -> seconds since its last report.
    """

    options: SearchOptions
    levels: tuple[int, ...]
    n_trials: int
    origins: tuple[str, ...]
    slots: int
    trials: tuple[TrialRecord, ...] = ()
    factors: tuple[tuple[int, float], ...] = ()
    spent: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Ending:
    """What a search takes from its beginning on.

    Attributes:
        units: That were trained.
        seconds: Until it was over.
        slot_seconds: That slots were held, all together.
        checkpoints: At most, at the same time: two of a trial that runs, one of one that waits.
    """

    units: int
    seconds: float
    slot_seconds: float
    checkpoints: int


def play(beginning: Beginning, pace: Pace, draw: random.Random) -> Ending:
    """Play a search on to its end."""
    return _Player(beginning, pace, draw).play()


class _Player:
    """One search that is played on."""

    def __init__(self, beginning: Beginning, pace: Pace, draw: random.Random) -> None:
        self._beginning, self._pace, self._draw = beginning, pace, draw
        self._units = beginning.levels[-1]
        self._unit_seconds = pace.unit_seconds * math.exp(draw.gauss(0.0, pace.doubt))
        self._factors, self._spent = dict(beginning.factors), dict(beginning.spent)
        self._drift = draw.uniform(-_DRIFT, _DRIFT) / max(1, beginning.n_trials)
        self._quality: dict[int, float] = {}
        history = History()
        history.n_trials = beginning.n_trials
        history.trials = self._copies(beginning.trials)
        self._now = 0.0
        self._dispatcher = Dispatcher(
            Journal(history),
            make_scheduler(beginning.options, beginning.n_trials, history),
            self,
            cast(Space, None),  # it makes configurations of points, and there are none
            [],
            self._units,
            clock=lambda: self._now,
        )

    def suggest(self, number: int, history: History) -> Suggestion:
        """Return a trial without params."""
        origins = self._beginning.origins
        origin = origins[number] if number < len(origins) else "random"
        return Suggestion({}, origin, cast(RunConfig, _NoConfig()))

    def play(self) -> Ending:
        """Run jobs until the search is finished."""
        dispatcher, ends = self._dispatcher, list[tuple[float, str, int]]()
        n_units, n_jobs, held, most = 0, 0, 0.0, 0
        dispatcher.settle()
        while True:
            while len(ends) < self._beginning.slots:
                id = f"{n_jobs}"
                job = dispatcher.next_job(id)
                if job is not None:
                    n_jobs += 1
                    dispatcher.started(id)
                    spent = self._spent.pop(job.trial.number, None)
                    start = self._pace.start_seconds if spent is None else -spent
                    took = max(0.0, start + self._seconds(job.trial.number, job.unit + 1))
                    heapq.heappush(ends, (self._now + took, id, job.unit + 1))
                    held += took
                elif ends or dispatcher.is_finished:
                    break
            if not ends:
                return Ending(n_units, self._now, held, most)
            most = max(most, self._n_checkpoints())
            self._now, id, unit = heapq.heappop(ends)
            number = dispatcher.jobs[id].trial.number
            n_units += 1
            goes_on = dispatcher.reported(id, unit, {"score": self._score(number, unit)})
            if goes_on:
                took = self._seconds(number, unit + 1)
                heapq.heappush(ends, (self._now + took, id, unit + 1))
                held += took
            else:
                dispatcher.saved(id, f"{id}/{unit}")
                dispatcher.left(id, 1.0, 0.0)

    def _n_checkpoints(self) -> int:
        trials = self._dispatcher.history.trials.values()
        waiting = sum(trial.status == "paused" for trial in trials)
        return waiting + 2 * len(self._dispatcher.jobs) + 1  # the best one that is done keeps its

    def _seconds(self, number: int, unit: int) -> float:
        if number not in self._factors:
            self._factors[number] = math.exp(self._draw.gauss(0.0, self._pace.spread))
        last = self._pace.last_seconds if unit >= self._units else 0.0
        return self._unit_seconds * self._factors[number] + last

    def _score(self, number: int, unit: int) -> float:
        if number not in self._quality:
            self._quality[number] = self._draw.gauss(self._drift * number, 1.0)
        noise = self._draw.gauss(0.0, (1 - _CORRELATION**2) ** 0.5)
        return _CORRELATION * self._quality[number] + noise

    def _copies(self, trials: Sequence[TrialRecord]) -> dict[int, TrialRecord]:
        """Return copies with scores that drawn ones can be compared with: of equal ranks."""
        scores = _normal_scores(trials)
        copies = {}
        for trial in trials:
            reports = {unit: scores[trial.number, unit] for unit in trial.reports}
            finite = [score for score in reports.values() if score is not None]
            if finite:
                self._quality[trial.number] = finite[-1] / _CORRELATION
            copies[trial.number] = replace(
                trial,
                run_config={},
                params={},
                reports={unit: {"score": score} for unit, score in reports.items()},
                decided=dict(trial.decided),
                promoted=set(trial.promoted),
                checkpoints={trial.units: "last"} if trial.units else {},
            )
        return copies


def _normal_scores(trials: Sequence[TrialRecord]) -> dict[tuple[int, int], float | None]:
    """Return (trial, unit) -> the normal score of its rank; None where there is no score.

    Trials that went further were chosen, so their mean is that of their first scores.
    """
    found: dict[tuple[int, int], float | None] = {}
    first: dict[int, float] = {}
    for unit in sorted({unit for trial in trials for unit in trial.reports}):
        at_unit = [trial for trial in trials if unit in trial.reports]
        found |= {(trial.number, unit): None for trial in at_unit}
        ranked = sorted(
            (trial for trial in at_unit if math.isfinite(trial.score_at(unit))),
            key=lambda trial: trial.score_at(unit),
        )
        mean = sum(first.get(trial.number, 0.0) for trial in ranked) / max(1, len(ranked))
        for rank, trial in enumerate(ranked):
            z = NormalDist().inv_cdf((rank + 0.5) / len(ranked))
            found[trial.number, unit] = z + _CORRELATION * mean
            first.setdefault(trial.number, z)
    return found


class _NoConfig:
    """Stands for a RunConfig that nobody reads."""

    def to_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}
