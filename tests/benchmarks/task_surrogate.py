"""Landscapes like the recorded ones, with a curve for the metric of each task."""

from __future__ import annotations

from typing import Any

import numpy as np

from spaces.space import Space
from tests.benchmarks.curve import Curve, CurveOf, Params
from tests.benchmarks.surrogate import Surrogate
from tests.course import TASK_METRICS
from trainable.seeds import derive


class TaskSurrogate:
    """A landscape for the metric of each task; the score is their mean.

    Every metric has its own forest over all params, because it is not known which params belong to
    which task. Noise that the metrics of a run have in common is not modelled.

    Args:
        space: Search space of the recorded trials.
        trials: `params` of each, and two `runs` with `tasks`.

    Attributes:
        each: One landscape for each of `TASK_METRICS`.
    """

    def __init__(self, space: Space, trials: list[dict[str, Any]]) -> None:
        self.each = [Surrogate(space, of_task(trials, metric)) for metric in TASK_METRICS]

    def problem(self, seed: int) -> CurveOf:
        """Return the landscape of a seed."""
        problems = [own.problem(derive(seed, "task", k)) for k, own in enumerate(self.each)]

        def curve_of(params: Params) -> Curve:
            curves = [problem(params) for problem in problems]
            tasks = tuple(curve.scores for curve in curves)
            worth = float(np.mean([curve.worth for curve in curves]))
            return Curve(np.mean(tasks, axis=0).tolist(), worth, tasks)

        return curve_of


def of_task(trials: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return trials as if a task's metric were their score."""
    return [{**trial, "runs": [run["tasks"][metric] for run in trial["runs"]]} for trial in trials]
