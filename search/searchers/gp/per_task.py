"""ScoreModel: what is known of the score, by a model of each task's metric.

The score is the mean of the tasks' metrics, and what belongs to the head of one task, its pooling
or its dropout, hardly moves the metrics of the others. A model of the score alone has to find that
out, of a hundred params, from a few dozen numbers; models of the tasks start out from it.
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

_OTHERS = 4.0  # times longer, a priori, are length scales of params that belong to other tasks
# First word of a param's name -> the metrics that it is there for; others are there for all.
_PURPOSE = {name: {task.metric} for name, task in TASKS.items()} | {
    "pair_layer": {task.metric for task in TASKS.values() if task.is_pair}
}


class ScoreModel:
    """The score as the mean of metrics, of which each has a model of its own.

    Args:
        models: Of the metrics. Beyond what params they share they are taken as independent.
    """

    def __init__(self, models: Sequence[RungModel]) -> None:
        self._models = models

    def predict(self, features: _Floats) -> tuple[_Floats, _Floats]:
        """Return mean and standard deviation of what params are worth: see `RungModel.predict`."""
        means, sds = zip(*(model.predict(features) for model in self._models), strict=True)
        return np.mean(means, axis=0), np.linalg.norm(sds, axis=0) / len(sds)

    def mean(self, features: _Floats) -> _Floats:
        """Return the mean alone, which needs no solving."""
        return np.asarray(np.mean([model.mean(features) for model in self._models], axis=0))

    @property
    def luck(self) -> float:
        """Standard deviation of what params do not explain of a score at the last rung."""
        return math.hypot(*(model.luck for model in self._models)) / len(self._models)

    def believe(self, features: _Floats) -> ScoreModel:
        """Return the model as if more trials had come out as it predicts: see `RungModel`."""
        return ScoreModel([model.believe(features) for model in self._models])


def learn_each(
    results: Sequence[Results], metrics: Sequence[str], n_rungs: int, encoding: SpaceEncoding
) -> list[Hyperparameters]:
    """Return the hyperparameters of the model of each metric.

    Args:
        results: Of each metric, at least one.
        metrics: Their keys in a report: `TASK_METRICS`, or `score` alone.
        n_rungs: How many rungs there are.
        encoding: Of the params.
    """
    lengths = length_scales(encoding.n_params)
    purposes = [_PURPOSE.get(name.split(".")[0]) for name in encoding.names]
    found = []
    for own, metric in zip(results, metrics, strict=True):
        of_others = [purpose is not None and metric not in purpose for purpose in purposes]
        longer = np.where(of_others, _OTHERS, 1.0) if metric in TASK_METRICS else 1.0
        found.append(learn(own, n_rungs, encoding.param_of, lengths * longer))
    return found
