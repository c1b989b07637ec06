"""Ray's own ASHA, for comparison: it stops trials at rungs and never promotes one."""

from __future__ import annotations

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
        # unit -> scores. Ray does not show the results of its rungs, so they are kept here, too.
        self._scores: dict[int, list[float]] = {unit: [] for unit in rungs(units, eta)[:-1]}
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
        nobody: Any = SimpleNamespace()
        ray_trial: Any = SimpleNamespace(trial_id=str(trial.number))
        if trial.number not in self._added:
            self._added.add(trial.number)
            self._asha.on_trial_add(nobody, ray_trial)
        self._scores[unit].append(score)
        return self._asha.on_trial_result(nobody, ray_trial, {"unit": unit, "score": score})

    def bracket(self, number: int) -> int:
        """Return 0: there is one bracket."""
        return 0

    def decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        """Stop a trial that is not among the best 1/eta of the results so far at its rung."""
        if unit not in self._scores:
            return None
        stop = self._enter(trial, unit) == TrialScheduler.STOP
        scores = self._scores[unit]
        rank = sum(score > trial.score_at(unit) for score in scores) + 1
        return Decision("stop" if stop else "continue", rank, len(scores))

    def next_promotion(self, *, draining: bool) -> None:
        """Return None: nothing is ever promoted."""

    def unpromotable(self) -> list[TrialRecord]:
        """Return nothing: no trial is ever paused."""
        return []
