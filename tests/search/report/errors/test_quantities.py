from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.report.errors.quantities import (
    by_quantiles,
    lengths,
    quantities_of,
    smallest_counts,
    usual_counts,
    word_counts,
    words,
)
from tests.search.report.errors.made_predictions import predictions


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
    found = quantities_of(predictions("sst", [(1, 1)] * 4, sentences=sentences), counts)
    assert [own.is_count for own in found] == [False, True, True]
    ends = [[(row.low, row.high) for row in own.rows] for own in found]
    assert ends[0] == [(n, n) for n in (1, 2, 3, 4)]
    assert ends[1][0] == pytest.approx((5, 5))
    assert ends[1][-1] == pytest.approx((50, 50))
    assert ends[2] == [(5, 5), (50, 50)]
