"""Ray's OptunaSearch as it is, for comparison with what this project does.

Under ASHA it tells Optuna that a trial stopped at a rung is complete, with its score at that rung:
slow starters look like poor configurations.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch

from search.log.history import History
from search.log.trial import TrialRecord
from search.searchers.base import Suggestion
from spaces.distributions import to_optuna
from spaces.space import Space
from trainable.run_config import RunConfig

STOCK_WARNING = (
    "note: --searcher tpe is Ray's own pairing, kept for comparison: it takes a trial that ASHA "
    "stopped for a finished one; --searcher rung-gp does not"
)


class OptunaTpe:
    """Suggests through OptunaSearch, and tells it of trials what Tune would tell it.

    After a restart it is told of ended trials what Optuna would have kept of them. Its draws begin
    anew then: a search that goes on is not the same as one that was not interrupted.

    Attributes:
        study: The Optuna study in which OptunaSearch keeps its trials, in memory.

    Args:
        space: Callable with an Optuna trial, as OptunaSearch wants it.
        seed: Of Optuna's sampler.
        n_startup: Trials at random before TPE begins.
    """

    def __init__(self, space: Space, seed: int, n_startup: int) -> None:
        # `group` is marked experimental since 2021; nothing else models conditional params well.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=n_startup,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
        self._distributions = {param.name: to_optuna(param.domain) for param in space.params()}
        name, storage = "stock", optuna.storages.InMemoryStorage()
        self._search = OptunaSearch(
            space=space,
            metric="score",
            mode="max",
            sampler=sampler,
            study_name=name,
            storage=storage,
        )
        self.study = optuna.load_study(study_name=name, storage=storage)
        self._told: dict[int, int] = {}  # number -> last unit that Optuna knows of; open trials
        self._n_seen = 0

    def suggest(self, number: int, history: History) -> Suggestion:
        """Return what OptunaSearch suggests next."""
        self._tell(history)
        params: Any = self._search.suggest(str(number))
        self._told[number], self._n_seen = 0, number + 1
        # Beside the params stands what the space returned.
        run_config = RunConfig.from_dict(params.pop("run_config"), "tpe")
        return Suggestion(params, "tpe", run_config)

    def _tell(self, history: History) -> None:
        """Pass on what happened since, as Tune's controller does."""
        for number in range(self._n_seen, len(history.trials)):
            self._adopt(history.trials[number])
        self._n_seen = len(history.trials)
        for number in list(self._told):
            trial = history.trials[number]
            over, lost = trial.is_over, _is_lost(trial)
            # The report on which a trial ends reaches the searcher as its result only.
            end = trial.units if over and not lost else None
            for unit, metrics in trial.reports.items():
                if unit > self._told[number] and unit != end:
                    self._search.on_trial_result(str(number), _result(unit, metrics["score"]))
                    self._told[number] = unit
            if over:
                result = None if lost else _result(trial.units, trial.last["score"])
                self._search.on_trial_complete(str(number), result, lost)
                del self._told[number]

    def _adopt(self, trial: TrialRecord) -> None:
        """Take over a trial that OptunaSearch did not suggest: a given point, or an earlier one."""
        if trial.is_over and not _is_lost(trial) and math.isfinite(trial.score):
            kept = optuna.trial.create_trial(
                params=trial.params,
                distributions={name: self._distributions[name] for name in trial.params},
                value=trial.score,
                intermediate_values={
                    unit: _number(metrics["score"])
                    for unit, metrics in trial.reports.items()
                    if unit < trial.units
                },
            )
            self.study.add_trial(kept)
        else:
            self.study.enqueue_trial(trial.params)
            self._search.suggest(str(trial.number))
            self._told[trial.number] = 0


def _is_lost(trial: TrialRecord) -> bool:
    """Whether it ended by an error of the machine, which Tune tells without a result."""
    return trial.status == "failed" and trial.failures > 0


def _result(unit: int, score: float | None) -> dict[str, Any]:
    return {"training_iteration": unit, "score": _number(score)}


def _number(score: float | None) -> float:
    return math.nan if score is None else score
