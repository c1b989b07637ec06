"""RungScores: the scores of trials at the rungs, in the arrays that a model reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from search.log.history import History
from search.log.trial import Metrics
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Results
from search.searchers.gp.results_by_rung import RungResults

_Floats = NDArray[np.float64]

WHOLE = ("score",)  # used if any report lacks the metrics of the tasks
Score = tuple[int, int, tuple[float, ...]]  # index of a trial, rung (0 for the first), metrics


class RungScores:
    """Reads the metrics of trials at the rungs, and the features of their params.

    Attributes:
        metrics: Keys of the metrics that are modelled: those of the tasks, or the score alone if a
            report of any trial lacks them, as reports of imported trials may.

    Args:
        results: All trials, by index.
        rungs: Units at which trials are compared, ascending.
        encoding: Encoding of the params.
        metrics: Keys of the tasks' metrics.
    """

    def __init__(
        self,
        results: RungResults,
        rungs: Sequence[int],
        encoding: SpaceEncoding,
        metrics: tuple[str, ...],
    ) -> None:
        self._results, self._rungs, self._encoding = results, rungs, encoding
        self.metrics = self._of_tasks = metrics
        self._n_read = 0
        self._rows: dict[int, _Floats] = {}  # index of a trial -> (features,)

    def read(self, history: History) -> None:
        """Check whether the reports since the last call have the metrics of the tasks."""
        new = (history.trials[n].reports[unit] for n, unit in history.reports[self._n_read :])
        old = (report for trial in history.imported for report in trial.reports.values())
        if not have_tasks(new if self._n_read else chain(old, new), self._of_tasks):
            self.metrics = WHOLE
        self._n_read = len(history.reports)

    def of(self, indices: Iterable[int]) -> list[Score]:
        """Return the scores of trials at all rungs that they reached."""
        return [(index, *own) for index in indices for own in self._of_trial(index)]

    def _of_trial(self, index: int) -> list[tuple[int, tuple[float, ...]]]:
        trial = self._results.trials[index]
        return [
            (k, tuple(float(trial.reports[unit][metric]) for metric in self.metrics))  # type: ignore[arg-type]
            for k, unit in enumerate(self._rungs)
            if trial.score_at(unit) > -math.inf
        ]

    def worst(self, failed: Sequence[int], scores: list[Score]) -> list[Score]:
        """Return a score for each failed trial: the worst at the first rung it did not reach.

        Args:
            failed: Indices of failed trials.
            scores: Scores of other trials, at least one.
        """
        worst: dict[int, tuple[float, ...]] = {}
        for _, k, values in scores:
            worst[k] = tuple(map(min, values, worst.get(k, values)))
        found = []
        for index in failed:
            n_reached = len(self._of_trial(index))
            k = next((k for k in sorted(worst) if k >= n_reached), max(worst))
            found.append((index, k, worst[k]))
        return found

    def as_results(self, scores: list[Score]) -> list[Results]:
        """Return the results of each metric, in the order of `metrics`."""
        indices, rungs, values = zip(*scores, strict=True)
        each, trials = np.unique(indices, return_inverse=True)
        features, rungs_of = self.features(each.tolist()), np.array(rungs)
        return [Results(features, rungs_of, trials, own) for own in np.array(values).T]

    def features(self, indices: Sequence[int]) -> _Floats:
        """Return the features of trials, (trials, features); each row is computed once."""
        new = [index for index in indices if index not in self._rows]
        if new:
            points = self._encoding.points([self._results.trials[index].params for index in new])
            self._rows |= zip(new, self._encoding.features(points), strict=True)
        return np.array([self._rows[index] for index in indices])


def have_tasks(reports: Iterable[Metrics], metrics: Collection[str]) -> bool:
    """Return whether all reports with a score also have the metrics of all tasks."""
    return all(
        report.get(metric) is not None
        for report in reports
        if report.get("score") is not None
        for metric in metrics
    )
