"""The other form of transfer: another search gives the Gaussian process its prior mean.

    mean(x) = c * r(x)

r(x), in [-1, 1], is the rank that a model of the other search predicts for x, among draws from the
whole space. c is learned from the scores of this search and not negative, so that a useless source
switches itself off. others_curves.py says what it gains: nothing that shows. So it is here, and
not in `search`, where the best of the other search are tried first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from search.log.history import History
from search.searchers.gp import searcher
from search.searchers.gp.acquisition import Incumbent
from search.searchers.gp.model import Results, RungModel
from search.searchers.gp.observations import RungScores, Score
from search.searchers.gp.per_task import ScoreModel
from search.searchers.gp.proposals import Start
from search.searchers.gp.searcher import RungGp
from trainable.metrics import metric_keys

_Floats = NDArray[np.float64]

_N_DRAWS = 512
_PULL = 1.0  # the coefficient is pulled to _USUAL as by scores whose squared ranks sum to this
_USUAL = 0.5  # in standard deviations of the scores


class PredictedRanks:
    """Predicts the rank that a configuration would have had in another search.

    Args:
        source: A searcher for the space of that search, with `min_results=1`.
        history: Its trials, at least one of them with a score.
    """

    def __init__(self, source: RungGp, history: History) -> None:
        source.suggest(len(history.trials), history)  # reads the history
        found = source._incumbent(0, history)
        assert found is not None
        self._model = found[0].model
        draws = source._encoding.anywhere(_N_DRAWS, np.random.default_rng(0))
        self._sorted = np.sort(self._model.mean(source._encoding.features(draws)))

    def __call__(self, features: _Floats) -> _Floats:
        """Return ranks in [-1, 1], 1 for the best: (points,)."""
        below = np.searchsorted(self._sorted, self._model.mean(features))
        return np.asarray(2.0 * below / len(self._sorted) - 1.0)


def coefficient(results: Results, ranks: _Floats) -> float:
    """Return c >= 0, on the scale of the scores, by least squares within each rung.

    Args:
        results: Scores of one metric.
        ranks: (trials,) what was predicted for each trial.
    """
    x, y = ranks[results.trials].astype(float), results.scores.astype(float)
    for rung in np.unique(results.rungs):
        own = results.rungs == rung
        x[own] -= x[own].mean()
        y[own] -= y[own].mean()
    scale = float(y.std()) or 1.0
    return max(0.0, scale * float((_PULL * _USUAL + x @ y / scale) / (_PULL + x @ x)))


class _Residuals(RungScores):
    """Scores less the prior mean.

    Attributes:
        coefficients: c of each metric, as it was when results were last asked for.
    """

    def __init__(self, ranks: PredictedRanks, *args: Any) -> None:
        super().__init__(*args)
        self._ranks = ranks
        self.coefficients: list[float] = []

    def as_results(self, scores: list[Score]) -> list[Results]:
        found = super().as_results(scores)
        ranks = self._ranks(found[0].features)
        self.coefficients = [coefficient(own, ranks) for own in found]
        return [
            replace(own, scores=own.scores - c * ranks[own.trials])
            for own, c in zip(found, self.coefficients, strict=True)
        ]


class _WithMean(ScoreModel):
    """A model of the residuals, to which the prior mean is added."""

    def __init__(
        self,
        models: Sequence[RungModel],
        weights: Sequence[float],
        ranks: PredictedRanks,
        slope: float,
    ) -> None:
        super().__init__(models, weights)
        self._ranks, self._slope = ranks, slope

    def _prior(self, features: _Floats) -> _Floats:
        return np.asarray(self._slope * self._ranks(features))

    def predict(self, features: _Floats) -> tuple[_Floats, _Floats]:
        mean, sd = super().predict(features)
        return mean + self._prior(features), sd

    def mean(self, features: _Floats) -> _Floats:
        return np.asarray(super().mean(features) + self._prior(features))

    def condition_on_pending(self, features: _Floats) -> ScoreModel:
        models = [own.condition_on_pending(features) for own in self._models]
        return _WithMean(models, self._weights[:, 0].tolist(), self._ranks, self._slope)


class TransferredMean(RungGp):
    """The searcher whose model has such a mean.

    Args:
        ranks: What another search says.
        args: As of `RungGp`.
        kwargs: As of `RungGp`.
    """

    def __init__(self, ranks: PredictedRanks, *args: Any, **kwargs: Any) -> None:
        self._ranks = ranks
        super().__init__(*args, **kwargs)

    def _begin(self, history: History | None) -> None:
        super()._begin(history)
        metrics = metric_keys(self._tasks)
        self._scores: _Residuals = _Residuals(
            self._ranks, self._results, self._rungs, self._encoding, metrics
        )

    def _incumbent(self, number: int, history: History) -> tuple[Incumbent, list[Start]] | None:
        def make(models: list[RungModel], weights: list[float]) -> ScoreModel:
            slope = float(np.average(self._scores.coefficients, weights=weights))
            return _WithMean(models, weights, self._ranks, slope)

        with mock.patch.object(searcher, "ScoreModel", make):
            return super()._incumbent(number, history)
