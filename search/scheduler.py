"""Who stops trials: Ray's ASHA, with its rungs kept over a restart.

The rest of the driver sees a Ray `TrialScheduler`; a better one takes its place here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from search.plan import Plan
from search.results import TrialRecord


class RecordedASHA(ASHAScheduler):
    """ASHA that remembers what it stopped, and whose rungs can be filled again.

    Source: Li et al. 2020 (arXiv:1810.05934), in Ray's form: a trial that reaches a rung goes on if
    it is among the best 1/eta of those that were there before; it is never taken up again.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.stopped: set[str] = set()  # Ray's ids

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide, and remember a stop."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP and not result["done"]:
            self.stopped.add(trial.trial_id)
        return decision

    def refill(self, trials: list[TrialRecord]) -> None:
        """Put results of an earlier driver into the rungs: Ray does not save them (#30838)."""
        for trial in trials:
            for unit, metrics in sorted(trial.reports.items()):
                owner: Any = SimpleNamespace(trial_id=trial.id)
                self._brackets[0].on_result(owner, unit, metrics["score"])


def make_scheduler(plan: Plan, earlier: list[TrialRecord]) -> TrialScheduler:
    """Return the scheduler that the options ask for.

    Args:
        plan: The search.
        earlier: Trials of the search that is resumed; empty for a new one.
    """
    if plan.options.scheduler == "none":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    scheduler = RecordedASHA(
        time_attr="unit",
        max_t=plan.options.units,
        grace_period=1,
        reduction_factor=plan.options.eta,
    )
    scheduler.refill(earlier)
    return scheduler
