"""Where a model is right, and where and how it is wrong: the papers looked at this by hand.

The functions are pure: they go from the examples of one task and the predictions to tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from search.report.errors.winner_predictions import Floats, TaskPredictions
from trainable.metrics import metric_of, standard_error

_WORD = re.compile(r"\w+(?:'\w+)*")


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


@dataclass(frozen=True)
class QuantileRow:
    """The examples for which a quantity lies in [low, high].

    Attributes:
        low: Smallest value among them.
        high: Largest value among them.
        mean: Mean value.
        metric: The task's metric over them.
    """

    low: float
    high: float
    mean: float
    metric: Measured


def by_quantiles(
    predictions: TaskPredictions, values: Floats, n_bins: int = 5
) -> list[QuantileRow]:
    """Return the metric in bins of about equally many examples.

    Equal values share a bin, so bins may differ in size, and there may be fewer.

    Args:
        predictions: n examples.
        values: (n,) of the quantity.
        n_bins: Number of bins, at most.
    """
    n_smaller = np.searchsorted(np.sort(values), values, side="left")  # (n,)
    bins = n_smaller * n_bins // max(1, len(values))
    rows = []
    for number in np.unique(bins):
        own = values[bins == number]
        metric = measured(predictions, bins == number)
        rows.append(QuantileRow(float(own.min()), float(own.max()), float(own.mean()), metric))
    return rows


def words(sentence: str) -> list[str]:
    """Return the words in lower case; punctuation is left out."""
    return _WORD.findall(sentence.lower())


def word_counts(sentences: Iterable[str]) -> Counter[str]:
    """Return how often each word occurs."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(words(sentence))
    return counts


def lengths(predictions: TaskPredictions) -> Floats:
    """Return the number of words of each example, of both sentences together, (n,)."""
    return np.array([sum(len(words(s)) for s in both) for both in predictions.sentences], float)


def usual_counts(predictions: TaskPredictions, counts: Mapping[str, int]) -> Floats:
    """Return the geometric mean of 1 + count over the words of each example, minus 1, (n,).

    An example without a word has 0, like one of unknown words.
    """
    return np.array([np.expm1(np.log1p(own).mean()) for own in _word_counts(predictions, counts)])


def smallest_counts(predictions: TaskPredictions, counts: Mapping[str, int]) -> Floats:
    """Return the count of each example's rarest word, (n,); 0 for one without a word."""
    return np.array([own.min() for own in _word_counts(predictions, counts)])


def _word_counts(predictions: TaskPredictions, counts: Mapping[str, int]) -> Iterator[Floats]:
    """Yield the counts of each example's words."""
    for both in predictions.sentences:
        known = [counts.get(word, 0) for sentence in both for word in words(sentence)]
        yield np.array(known or [0], float)


@dataclass(frozen=True)
class Quantity:
    """A quantity that each example has, and the metric in bins of it.

    Attributes:
        name: For people.
        is_count: Whether it is a word's count in the train set; a figure shows its logarithm.
        rows: Bins, ascending.
    """

    name: str
    is_count: bool
    rows: list[QuantileRow]


def quantities(predictions: TaskPredictions, counts: Mapping[str, int]) -> list[Quantity]:
    """Return the metric by length and by word frequency.

    Args:
        predictions: n examples.
        counts: Word -> how often it occurs in the task's train set.
    """
    usual, smallest = usual_counts(predictions, counts), smallest_counts(predictions, counts)
    return [
        Quantity("words of the example", False, by_quantiles(predictions, lengths(predictions))),
        Quantity("count of a usual word", True, by_quantiles(predictions, usual)),
        Quantity("count of the rarest word", True, by_quantiles(predictions, smallest)),
    ]


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
