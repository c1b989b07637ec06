from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.report.errors.measures import (
    by_class,
    by_label,
    confusion,
    measured,
    worst,
)
from tests.search.report.errors.made_predictions import predictions

CLASSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
SIMILARITIES = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=60)


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
