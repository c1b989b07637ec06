"""ScoreModel: a model of the score that consists of a model of each task's metric.

The score is the mean of the tasks' metrics. The params of one task's head, such as its pooling or
its dropout, hardly change the metrics of other tasks. A model of the score alone would have to
learn that, for a hundred params, from a few dozen scores. Models of the tasks assume it a priori.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.fit import learn, length_scales
from search.searchers.gp.model import Hyperparameters, Results, RungModel
from trainable.tasks import TASK_METRICS, TASKS

_Floats = NDArray[np.float64]

_OTHERS = 4.0  # prior length scales of params of other tasks are longer by this factor
# First word of the name of a param -> the metrics that it affects. Other params affect all metrics.
_PURPOSE = {name: {task.metric} for name, task in TASKS.items()} | {
    "pair_layer": {task.metric for task in TASKS.values() if task.is_pair}
}


class ScoreModel:
    """Predicts the score as the mean of metrics, each of which has a model of its own.

    Args:
        models: One for each metric. Given the params, the metrics are taken as independent.
    """

    def __init__(self, models: Sequence[RungModel]) -> None:
        self._models = models

    def predict(self, features: _Floats) -> tuple[_Floats, _Floats]:
        """Return mean and standard deviation at the last rung: see `RungModel.predict`."""
        means, sds = zip(*(model.predict(features) for model in self._models), strict=True)
        return np.mean(means, axis=0), np.linalg.norm(sds, axis=0) / len(sds)

    def mean(self, features: _Floats) -> _Floats:
        """Return the mean alone: (points,)."""
        return np.asarray(np.mean([model.mean(features) for model in self._models], axis=0))

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the part of a last rung's score that the params do not explain."""
        return math.hypot(*(model.noise_sd for model in self._models)) / len(self._models)

    def condition_on_pending(self, features: _Floats) -> ScoreModel:
        """Return the model as if pending trials had scored the predicted means: see `RungModel`."""
        return ScoreModel([model.condition_on_pending(features) for model in self._models])


def learn_each(
    results: Sequence[Results], metrics: Sequence[str], n_rungs: int, encoding: SpaceEncoding
) -> list[Hyperparameters]:
    """Return the hyperparameters of the model of each metric.

    Args:
        results: Results of each metric, at least one.
        metrics: Their keys in a report: `TASK_METRICS`, or `score` alone.
        n_rungs: Number of rungs.
        encoding: Encoding of the params.
    """
    lengths = length_scales(encoding.n_params)
    purposes = [_PURPOSE.get(name.split(".")[0]) for name in encoding.names]
    found = []
    for own, metric in zip(results, metrics, strict=True):
        of_others = [purpose is not None and metric not in purpose for purpose in purposes]
        longer = np.where(of_others, _OTHERS, 1.0) if metric in TASK_METRICS else 1.0
        found.append(learn(own, n_rungs, encoding.param_of, lengths * longer))
    return found
