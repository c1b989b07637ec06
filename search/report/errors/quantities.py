"""The metric by length and by word frequency: on what kind of sentences is a model wrong?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from search.report.errors.measures import Measured, measured
from search.report.errors.winner_predictions import Floats, TaskPredictions

_WORD = re.compile(r"\w+(?:'\w+)*")


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


def quantities_of(predictions: TaskPredictions, counts: Mapping[str, int]) -> list[Quantity]:
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
