from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.report.errors.measures import (
    by_class,
    by_label,
    by_quantiles,
    confusion,
    lengths,
    measured,
    quantities,
    smallest_counts,
    usual_counts,
    word_counts,
    words,
    worst,
)
from search.report.errors.winner_predictions import TaskPredictions
from trainable.tasks import COURSE, TaskName

CLASSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
SIMILARITIES = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=60)


def predictions(task: TaskName, pairs: list[tuple[Any, Any]], **others: Any) -> TaskPredictions:
    """Return predictions from pairs of label and prediction."""
    labels, predicted = np.array(pairs, float).T
    n = len(labels)
    values = {"sentences": (("a",),) * n, "confidence": np.full(n, 0.5), **others}
    return TaskPredictions(
        COURSE[task], values["sentences"], labels, predicted, values["confidence"]
    )


@given(CLASSES)
def test_the_confusion_matrix_counts_every_example_once(pairs: list[tuple[int, int]]) -> None:
    expected = [[pairs.count((label, said)) for said in range(5)] for label in range(5)]
    assert confusion(predictions("sst", pairs)).tolist() == expected


@given(CLASSES)
def test_classes_are_rows_and_columns_of_the_matrix(pairs: list[tuple[int, int]]) -> None:
    matrix = confusion(predictions("sst", pairs))
    rows = by_class(predictions("sst", pairs))
    assert [row.recall.n for row in rows] == matrix.sum(1).tolist()
    assert [row.precision.n for row in rows] == matrix.sum(0).tolist()
    for row in rows:
        hits = matrix[row.label, row.label]
        for measure in (row.recall, row.precision):
            if measure.n:
                share = hits / measure.n
                assert measure.score == pytest.approx(share)
                # A mean of zeros and ones has the spread of a binomial; at the edge nobody can say
                # that all examples are alike.
                inner = min(max(share, 0.5 / measure.n), 1 - 0.5 / measure.n)
                assert measure.error == pytest.approx(
                    stats.binom(measure.n, inner).std() / measure.n
                )
                assert measure.error > 0
            else:
                assert math.isnan(measure.score)
                assert math.isnan(measure.error)


def test_paraphrases_and_others_are_the_two_classes_of_the_task() -> None:
    pairs = [(1, 1), (1, 0), (1, 1), (1, 1), (0, 0), (0, 1)]
    others, paraphrases = by_class(predictions("para", pairs))
    assert (others.recall.score, others.recall.n) == (0.5, 2)
    assert (paraphrases.recall.score, paraphrases.recall.n) == (0.75, 4)
    assert paraphrases.recall.error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert (paraphrases.precision.score, paraphrases.precision.n) == (0.75, 4)


def test_similarity_is_measured_by_correlation_with_the_error_of_a_bootstrap() -> None:
    generator = np.random.default_rng(0)
    labels = generator.uniform(0, 5, 400)
    predicted = labels + generator.normal(0, 1.5, 400)
    found = measured(predictions("sts", list(zip(labels, predicted, strict=True))))
    assert found.score == pytest.approx(np.corrcoef(labels, predicted)[0, 1])
    drawn = generator.integers(400, size=(2000, 400))
    resampled = [np.corrcoef(labels[i], predicted[i])[0, 1] for i in drawn]
    assert found.error == pytest.approx(np.std(resampled), rel=0.25)


@pytest.mark.parametrize(
    "pairs", [[(0, 1), (1, 2), (2, 0)], [(3, k) for k in range(9)], [(k, 3) for k in range(9)]]
)
def test_a_correlation_that_means_nothing_is_not_given_for_a_part(
    pairs: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    others = [(0, 0), (1, 2), (5, 4), (2, 3)]
    chosen = np.array([True] * len(pairs) + [False] * len(others))
    found = measured(predictions("sts", [*pairs, *others]), chosen)
    assert math.isnan(found.score)
    assert math.isnan(found.error)
    assert found.n == len(pairs)
    assert not caplog.records


def test_a_constant_prediction_has_a_correlation_of_zero() -> None:
    assert measured(predictions("sts", [(k, 3) for k in range(9)])).score == 0


def test_correlations_of_few_examples_have_no_error() -> None:
    assert math.isnan(measured(predictions("sts", [(0, 1), (1, 2), (3, 0)])).error)


@given(SIMILARITIES)
def test_label_bins_hold_every_example_once(pairs: list[tuple[float, float]]) -> None:
    rows = by_label(predictions("sts", pairs))
    assert [(row.low, row.high) for row in rows] == [(k, k + 1) for k in range(5)]
    for row in rows:
        own = [(x, y) for x, y in pairs if row.low <= x < row.high or x == row.high == 5]
        assert row.predicted.n == len(own)
        if own:
            assert row.label == pytest.approx(np.mean([x for x, _ in own]))
            assert row.predicted.score == pytest.approx(np.mean([y for _, y in own]))
        if len(own) > 1:
            assert row.predicted.error == pytest.approx(stats.sem([y for _, y in own]))
    assert sum(row.predicted.n for row in rows) == len(pairs)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=80), st.integers(1, 6))
def test_quantile_bins_part_the_examples_and_never_equal_values(
    values: list[int], n_bins: int
) -> None:
    own = predictions("sst", [(k % 5, k % 3) for k in range(len(values))])
    rows = by_quantiles(own, np.array(values, float), n_bins)
    assert len(rows) <= n_bins
    assert [row.low for row in rows] == sorted(row.low for row in rows)
    for before, after in pairwise(rows):
        assert before.high < after.low
    assert (rows[0].low, rows[-1].high) == (min(values), max(values))
    hits = own.labels == own.predicted
    for row in rows:
        inside = np.array([row.low <= value <= row.high for value in values])
        assert row.metric.n == inside.sum()
        assert row.metric.score == pytest.approx(hits[inside].mean())
        assert row.mean == pytest.approx(np.array(values)[inside].mean())
    assert sum(row.metric.n for row in rows) == len(values)


def test_quantile_bins_of_different_values_are_of_one_size() -> None:
    own = predictions("para", [(0, 0)] * 100)
    values = np.random.default_rng(0).permutation(100).astype(float)
    assert [row.metric.n for row in by_quantiles(own, values)] == [20] * 5


def test_words_are_lower_case_and_without_punctuation() -> None:
    assert words("It's -- a “GOOD” film, isn't it?") == ["it's", "a", "good", "film", "isn't", "it"]
    assert word_counts(["a b", "B b."]) == {"a": 1, "b": 3}


def test_lengths_count_the_words_of_all_sentences() -> None:
    own = predictions(
        "sts", [(0, 0)] * 3, sentences=(("One two.", "Three"), ("", "a-b"), ("", "!"))
    )
    assert lengths(own).tolist() == [3, 2, 0]


def test_frequencies_are_those_of_the_train_set() -> None:
    counts = Counter({"common": 99, "rare": 9})
    sentences = (("Common", "rare"), ("common unknown",), ("common common",), ("?",))
    own = predictions("sts", [(0, 0)] * 4, sentences=sentences)
    geometric = [stats.gmean(c) - 1 for c in ([100, 10], [100, 1], [100, 100], [1])]
    assert usual_counts(own, counts) == pytest.approx(geometric)
    assert smallest_counts(own, counts).tolist() == [9, 0, 99, 0]


def test_the_metric_is_given_by_length_and_by_both_frequencies() -> None:
    counts = Counter({"a": 50, "b": 5})
    sentences = (("a",), ("a a",), ("a b b",), ("b b b b",))
    found = quantities(predictions("sst", [(1, 1)] * 4, sentences=sentences), counts)
    assert [own.is_count for own in found] == [False, True, True]
    ends = [[(row.low, row.high) for row in own.rows] for own in found]
    assert ends[0] == [(n, n) for n in (1, 2, 3, 4)]
    assert ends[1][0] == pytest.approx((5, 5))
    assert ends[1][-1] == pytest.approx((50, 50))
    assert ends[2] == [(5, 5), (50, 50)]


def test_the_worst_errors_are_far_off_and_sure_of_it() -> None:
    pairs = [(4, 4), (0, 4), (2, 3), (0, 4), (4, 0), (1, 0)]
    sure = np.array([0.99, 0.3, 0.9, 0.8, 0.5, 0.2])
    own = predictions("sst", pairs, confidence=sure)
    assert worst(own, 10) == [3, 4, 1, 2, 5]
    assert worst(own, 2) == [3, 4]


@given(SIMILARITIES, st.integers(0, 5))
def test_the_worst_similarities_are_the_furthest_off(
    pairs: list[tuple[float, float]], n: int
) -> None:
    found = worst(predictions("sts", pairs, confidence=None), n)
    off = [abs(x - y) for x, y in pairs]
    wrong = sorted((value for value in off if value > 0), reverse=True)
    assert [off[i] for i in found] == wrong[:n]
    assert len(set(found)) == len(found)
