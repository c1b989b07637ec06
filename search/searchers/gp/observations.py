"""What trials scored at the rungs, as a model reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from search.log.history import History
from search.log.trial import Metrics
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Results
from search.searchers.gp.results_by_rung import RungResults
from trainable.tasks import TASK_METRICS

_Floats = NDArray[np.float64]

WHOLE = ("score",)  # all that is known where a report says nothing of the tasks
Score = tuple[int, int, tuple[float, ...]]  # place of a trial, rung (0 for the first), metrics


class RungScores:
    """Scores of trials at rungs, and their params.

    Attributes:
        metrics: What a score consists of: the metrics of the tasks; the score alone where a report
            of any trial does not have them, as those of imported trials may not.

    Args:
        results: All trials.
        rungs: Units at which trials are compared, ascending.
        encoding: Of the params.
    """

    def __init__(self, results: RungResults, rungs: Sequence[int], encoding: SpaceEncoding) -> None:
        self._results, self._rungs, self._encoding = results, rungs, encoding
        self.metrics = TASK_METRICS
        self._n_read = 0
        self._rows: dict[int, _Floats] = {}  # place of a trial -> (features,)

    def read(self, history: History) -> None:
        """Look at the reports since the last time."""
        new = (history.trials[n].reports[unit] for n, unit in history.reports[self._n_read :])
        old = (report for trial in history.imported for report in trial.reports.values())
        if not say_tasks(new if self._n_read else chain(old, new)):
            self.metrics = WHOLE
        self._n_read = len(history.reports)

    def of(self, places: Iterable[int]) -> list[Score]:
        """Return what trials scored."""
        return [(place, *own) for place in places for own in self._of_trial(place)]

    def _of_trial(self, place: int) -> list[tuple[int, tuple[float, ...]]]:
        trial = self._results.trials[place]
        return [
            (k, tuple(float(trial.reports[unit][metric]) for metric in self.metrics))  # type: ignore[arg-type]
            for k, unit in enumerate(self._rungs)
            if trial.score_at(unit) > -math.inf
        ]

    def worst(self, failed: Sequence[int], scores: list[Score]) -> list[Score]:
        """Return a score for each failed trial: the worst metrics at a rung that it did not reach.

        Args:
            failed: Places of trials.
            scores: At least one, of others.
        """
        worst: dict[int, tuple[float, ...]] = {}
        for _, k, values in scores:
            worst[k] = tuple(map(min, values, worst.get(k, values)))
        found = []
        for place in failed:
            n_reached = len(self._of_trial(place))
            k = next((k for k in sorted(worst) if k >= n_reached), max(worst))
            found.append((place, k, worst[k]))
        return found

    def as_results(self, scores: list[Score]) -> list[Results]:
        """Return scores as results of each metric."""
        places, rungs, values = zip(*scores, strict=True)
        each, trials = np.unique(places, return_inverse=True)
        features, rungs_of = self.features(each.tolist()), np.array(rungs)
        return [Results(features, rungs_of, trials, own) for own in np.array(values).T]

    def features(self, places: Sequence[int]) -> _Floats:
        """Return the features of trials, (trials, features); of each they are made once."""
        new = [place for place in places if place not in self._rows]
        if new:
            points = self._encoding.points([self._results.trials[place].params for place in new])
            self._rows |= zip(new, self._encoding.features(points), strict=True)
        return np.array([self._rows[place] for place in places])


def say_tasks(reports: Iterable[Metrics]) -> bool:
    """Return whether all reports with a score have the metrics that it is the mean of."""
    return all(
        report.get(metric) is not None
        for report in reports
        if report.get("score") is not None
        for metric in TASK_METRICS
    )
