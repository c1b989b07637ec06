"""ScoreModel: a model of the score that consists of a model of each task's metric.

The score is a weighted mean of the tasks' metrics. The params of one task's head, such as its
pooling or its dropout, hardly change the metrics of other tasks. A model of the score alone would
have to learn that, for a hundred params, from a few dozen scores. Models of the tasks assume it a
priori.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.fit import learn, length_scales
from search.searchers.gp.model import Hyperparameters, Results, RungModel
from trainable.metrics import metric_keys
from trainable.tasks import Tasks

_Floats = NDArray[np.float64]

_OTHERS = 4.0  # prior length scales of params of other tasks are longer by this factor


class ScoreModel:
    """Predicts the score as the weighted mean of metrics, each of which has a model of its own.

    Args:
        models: One for each metric. Given the params, the metrics are taken as independent.
        weights: Of the metrics, at least 0 and not all 0.
    """

    def __init__(self, models: Sequence[RungModel], weights: Sequence[float]) -> None:
        self._models, self._weights = models, np.array(weights, float)[:, None]
        self._total = sum(weights)

    def predict(self, features: _Floats) -> tuple[_Floats, _Floats]:
        """Return mean and standard deviation at the last rung: see `RungModel.predict`."""
        means, sds = zip(*(model.predict(features) for model in self._models), strict=True)
        mean = np.sum(self._weights * means, axis=0) / self._total
        return mean, np.linalg.norm(self._weights * sds, axis=0) / self._total

    def mean(self, features: _Floats) -> _Floats:
        """Return the mean alone: (points,)."""
        means = self._weights * [model.mean(features) for model in self._models]
        return np.asarray(np.sum(means, axis=0) / self._total)

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the part of a last rung's score that the params do not explain."""
        weighted = (
            weight * model.noise_sd
            for weight, model in zip(self._weights[:, 0].tolist(), self._models, strict=True)
        )
        return math.hypot(*weighted) / self._total

    def condition_on_pending(self, features: _Floats) -> ScoreModel:
        """Return the model as if pending trials had scored the predicted means: see `RungModel`."""
        models = [model.condition_on_pending(features) for model in self._models]
        return ScoreModel(models, self._weights[:, 0].tolist())


def learn_each(
    results: Sequence[Results],
    metrics: Sequence[str],
    n_rungs: int,
    encoding: SpaceEncoding,
    tasks: Tasks,
) -> list[Hyperparameters]:
    """Return the hyperparameters of the model of each metric.

    Args:
        results: Results of each metric, at least one.
        metrics: Their keys in a report: those of the tasks, or `score` alone.
        n_rungs: Number of rungs.
        encoding: Encoding of the params.
        tasks: The tasks of the search.
    """
    lengths = length_scales(encoding.n_params)
    # First word of the name of a param -> the metrics that it affects; other params affect all.
    known = {name: {task.metric_key} for name, task in tasks.items()}
    known["pair_layer"] = {task.metric_key for task in tasks.values() if task.is_pair}
    purposes = [known.get(name.split(".")[0]) for name in encoding.names]
    found = []
    for own, metric in zip(results, metrics, strict=True):
        of_others = [purpose is not None and metric not in purpose for purpose in purposes]
        longer = np.where(of_others, _OTHERS, 1.0) if metric in metric_keys(tasks) else 1.0
        found.append(learn(own, n_rungs, encoding.param_of, lengths * longer))
    return found
