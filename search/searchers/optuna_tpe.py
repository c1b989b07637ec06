"""OptunaTpe: Ray's OptunaSearch as it is, for comparison with the searchers of this project.

If ASHA stops a trial at a rung, OptunaSearch tells Optuna that the trial is complete, with its
score at that rung. Configurations that start slowly then look poor.
"""

from __future__ import annotations

import math
import warnings
from itertools import islice
from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch

from search.log.history import History
from search.log.trial import TrialRecord
from search.searchers.base import Suggestion
from spaces.distributions import to_optuna
from spaces.space import Space
from trainable.run_config import RunConfig

TPE_NOTE = (
    "note: --searcher tpe is Ray's own pairing, kept for comparison: it takes a trial that ASHA "
    "stopped for a finished one; --searcher rung-gp does not"
)


class OptunaTpe:
    """Suggests what OptunaSearch suggests, and tells it about trials what Tune would tell it.

    After a restart the study gets the ended trials as Optuna would have kept them. The sampler's
    draws begin anew, so a resumed search differs from one that was not interrupted. Suggestions may
    repeat params that were tried.

    Attributes:
        study: The Optuna study in which OptunaSearch keeps its trials, in memory.

    Args:
        space: The space to search; OptunaSearch calls it with an Optuna trial.
        seed: Seed of Optuna's sampler.
        n_startup: Number of random trials before TPE begins.
    """

    def __init__(self, space: Space, seed: int, n_startup: int) -> None:
        # Optuna has marked `group` as experimental since 2021, but without it TPE models
        # conditional params poorly.
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
        name, storage = "tpe", optuna.storages.InMemoryStorage()
        self._search = OptunaSearch(
            space=space,
            metric="score",
            mode="max",
            sampler=sampler,
            study_name=name,
            storage=storage,
        )
        self.study = optuna.load_study(study_name=name, storage=storage)
        self._told: dict[int, int] = {}  # number of an open trial -> last unit that Optuna knows
        self._n_seen = 0

    def suggest(self, number: int, history: History) -> Suggestion:
        """Return what OptunaSearch suggests next."""
        self._tell(history)
        params: Any = self._search.suggest(str(number))
        self._told[number], self._n_seen = 0, len(history.trials) + 1
        # OptunaSearch adds what the space returned to the params.
        run_config = RunConfig.from_dict(params.pop("run_config"), "tpe")
        return Suggestion(params, "tpe", run_config)

    def _tell(self, history: History) -> None:
        """Tell OptunaSearch what happened since the last call, as Tune's controller would."""
        for trial in islice(history.trials.values(), self._n_seen, None):
            self._adopt(trial)
        self._n_seen = len(history.trials)
        for number in list(self._told):
            trial = history.trials[number]
            over, lost = trial.is_over, _is_lost(trial)
            # Tune passes the last report of a trial as its result, and not as a report.
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
        """Add a trial that this object did not suggest: a given point, or one before a restart."""
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
    """Whether a trial ended by an error of its machine, which Tune reports without a result."""
    return trial.status == "failed" and trial.failures > 0


def _result(unit: int, score: float | None) -> dict[str, Any]:
    return {"training_iteration": unit, "score": _number(score)}


def _number(score: float | None) -> float:
    return math.nan if score is None else score
