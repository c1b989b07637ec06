"""Predictions of a task of the course from labels and answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from search.report.errors.winner_predictions import TaskPredictions
from trainable.tasks import COURSE, TaskName


def predictions(task: TaskName, pairs: list[tuple[Any, Any]], **others: Any) -> TaskPredictions:
    """Return predictions from pairs of label and prediction."""
    labels, predicted = np.array(pairs, float).T
    n = len(labels)
    values = {"sentences": (("a",),) * n, "confidence": np.full(n, 0.5), **others}
    return TaskPredictions(
        COURSE[task], values["sentences"], labels, predicted, values["confidence"]
    )
