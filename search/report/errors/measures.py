"""Where a model is right, and where and how it is wrong: the papers looked at this by hand.

The functions are pure: they go from the examples of one task and the predictions to tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from search.report.errors.winner_predictions import TaskPredictions
from trainable.metrics import metric_of, standard_error


@dataclass(frozen=True)
class Measured:
    """A metric or a mean over some examples.

    Attributes:
        score: The task's metric, or a mean; NaN where it is not defined.
        error: Its standard error; NaN where there are too few examples.
        n: Number of examples.
    """

    score: float
    error: float
    n: int


def measured(predictions: TaskPredictions, chosen: NDArray[np.bool_] | None = None) -> Measured:
    """Return the task's metric over all examples, or over the chosen ones, (n,) bool.

    An undefined correlation is NaN over chosen examples. Over all it is 0, as in every report.
    """
    which = slice(None) if chosen is None else chosen
    labels, predicted = predictions.labels[which], predictions.predicted[which]
    n, n_classes = len(labels), predictions.task.n_classes
    part = chosen is not None and n_classes is None
    if n == 0 or (part and (n < 4 or np.ptp(labels) == 0 or np.ptp(predicted) == 0)):
        return Measured(float("nan"), float("nan"), n)
    score = metric_of(predictions.task, torch.from_numpy(predicted), torch.from_numpy(labels))
    return Measured(score, standard_error(predictions.task, score, n), n)


def confusion(predictions: TaskPredictions) -> NDArray[np.int64]:
    """Return the (n_classes, n_classes) counts; rows are labels, columns are predictions."""
    n_classes = predictions.task.n_classes
    assert n_classes is not None, "a confusion matrix is of classes"
    cells = predictions.labels.astype(np.int64) * n_classes + predictions.predicted.astype(np.int64)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Attributes:
        label: 0, 1, ...
        recall: Accuracy over the examples of the class.
        precision: Accuracy over the examples that were predicted to be of it.
    """

    label: int
    recall: Measured
    precision: Measured


def by_class(predictions: TaskPredictions) -> list[ClassRow]:
    """Return a row for each class, in the order of their numbers."""
    return [
        ClassRow(
            label,
            _accuracy_over(predictions, predictions.labels == label),
            _accuracy_over(predictions, predictions.predicted == label),
        )
        for label in range(predictions.task.n_classes or 0)
    ]


def _accuracy_over(predictions: TaskPredictions, chosen: NDArray[np.bool_]) -> Measured:
    """Return the accuracy over the chosen examples, (n,) bool, with its binomial error.

    Where all are right, or none is, the error is that of half an example less, or more: one of 0
    would say that this is so of all examples.
    """
    n = int(chosen.sum())
    if n == 0:
        return Measured(float("nan"), float("nan"), n)
    share = float((predictions.predicted == predictions.labels)[chosen].mean())
    inner = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return Measured(share, float(np.sqrt(inner * (1 - inner) / n)), n)


@dataclass(frozen=True)
class LabelRow:
    """The examples whose label is in [low, high), the last row's in [low, high].

    Attributes:
        low: Lowest label.
        high: Highest label.
        label: Mean label, NaN without examples.
        predicted: Mean prediction.
    """

    low: float
    high: float
    label: float
    predicted: Measured


def by_label(predictions: TaskPredictions, n_bins: int = 5) -> list[LabelRow]:
    """Return the mean prediction in bins of equal width over the range of labels."""
    edges = np.linspace(predictions.task.low, predictions.task.high, n_bins + 1)
    # The highest label belongs to the last bin, which includes its upper end.
    bins = np.minimum(np.searchsorted(edges, predictions.labels, side="right") - 1, n_bins - 1)
    rows = []
    for number in range(n_bins):
        labels, predicted = (
            predictions.labels[bins == number],
            predictions.predicted[bins == number],
        )
        n = len(labels)
        mean = float(predicted.mean()) if n else float("nan")
        error = float(predicted.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        label = float(labels.mean()) if n else float("nan")
        rows.append(
            LabelRow(
                float(edges[number]), float(edges[number + 1]), label, Measured(mean, error, n)
            )
        )
    return rows


def worst(predictions: TaskPredictions, n: int) -> list[int]:
    """Return the numbers of at most n examples with the worst errors, the worst first.

    An error is worse the further the prediction is from the label; where they are equally far, it
    is worse the more confident the model was.
    """
    distance = np.abs(predictions.predicted - predictions.labels)
    sureness = (
        np.zeros(len(predictions)) if predictions.confidence is None else predictions.confidence
    )
    order = np.lexsort((-sureness, -distance))
    return [int(number) for number in order[:n] if distance[number] > 0]
