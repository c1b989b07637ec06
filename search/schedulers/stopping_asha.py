"""Ray's own ASHA, for comparison: it stops trials at rungs and never promotes one."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.log.history import History
from search.log.trial import TrialRecord
from search.schedulers.base import Decision
from search.schedulers.rungs import rungs


class StoppingASHA:
    """Ray's own ASHA: it compares a trial with earlier results only, and a stopped trial stays so.

    Args:
        history: History of the search. The rungs are filled from it, because Ray does not save
            them (ray-project/ray#30838).
        units: Units of a full run.
        eta: About one in eta trials passes a rung.
    """

    def __init__(self, history: History, units: int, eta: int) -> None:
        # Unit -> (-score, trial number) of its results, best first. Ray does not show the results
        # of its rungs, so they are kept here, too.
        self._results: dict[int, list[tuple[float, int]]] = {u: [] for u in rungs(units, eta)[:-1]}
        self._added: set[int] = set()
        self._asha = ASHAScheduler(
            time_attr="unit",
            metric="score",
            mode="max",
            max_t=units,
            grace_period=1,
            reduction_factor=eta,
        )
        for trial in history.trials.values():
            for unit in sorted(trial.decided):
                self._enter(trial, unit)

    def _enter(self, trial: TrialRecord, unit: int) -> str:
        """Add a result to its rung and return what Ray decides: `CONTINUE` or `STOP`."""
        score = trial.score_at(unit)
        if not math.isfinite(score):  # Ray lets a NaN go on and leaves it out of the cutoff
            return TrialScheduler.CONTINUE
        nobody: Any = SimpleNamespace()
        ray_trial: Any = SimpleNamespace(trial_id=str(trial.number))
        if trial.number not in self._added:
            self._added.add(trial.number)
            self._asha.on_trial_add(nobody, ray_trial)
        insort(self._results[unit], (-score, trial.number))
        return self._asha.on_trial_result(nobody, ray_trial, {"unit": unit, "score": score})

    def bracket(self, number: int) -> int:
        """Return 0: there is one bracket."""
        return 0

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        """Stop a trial that is not among the best 1/eta of the results so far at its rung.

        The default always goes on; its result counts for other trials.
        A score that is not finite ranks last and does not count for other trials.
        """
        if unit not in self._results:
            return None
        stop = self._enter(trial, unit) == TrialScheduler.STOP and not trial.is_default
        results, key = self._results[unit], (-trial.score_at(unit), trial.number)
        among = len(results) if math.isfinite(key[0]) else len(results) + 1
        return Decision("stop" if stop else "continue", bisect_left(results, key) + 1, among)

    def next_promotion(self, *, draining: bool) -> None:
        """Return None: nothing is ever promoted."""

    def unpromotable(self) -> list[TrialRecord]:
        """Return nothing: no trial is ever paused."""
        return []
