from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.seed_scores import heading, seeds_table, summary_of
from tests.course import SCORE_KEYS

SPLITS = ("select", "confirm")
SCORE = st.floats(-1, 1)
VALUES = st.lists(
    st.lists(st.lists(SCORE, min_size=5, max_size=5), min_size=2, max_size=2),
    min_size=1,
    max_size=6,
)


def scores_of(values: list[list[list[float]]]) -> dict[int, dict[str, dict[str, float]]]:
    """Return seed -> split -> metric -> score; seeds are 3, 4, ..."""
    return {
        seed: {
            split: dict(zip(SCORE_KEYS, row, strict=True))
            for split, row in zip(SPLITS, rows, strict=True)
        }
        for seed, rows in enumerate(values, start=3)
    }


@given(VALUES)
def test_mean_and_deviation_are_those_of_a_sample(values: list[list[list[float]]]) -> None:
    summary = summary_of(scores_of(values))
    array = np.array(values)  # (seeds, splits, metrics)
    assert list(summary) == list(SPLITS)
    for i, split in enumerate(SPLITS):
        assert list(summary[split]) == list(SCORE_KEYS)
        for j, key in enumerate(SCORE_KEYS):
            own = array[:, i, j]
            found = summary[split][key]
            assert found["mean"] == pytest.approx(own.mean())
            if len(own) == 1:
                assert found["stdev"] is None
            else:
                # n - 1 below the root: seeds are a sample, not all there are.
                assert found["stdev"] == pytest.approx(own.std(ddof=1), abs=1e-12)


def test_the_table_has_every_number_in_its_place() -> None:
    draw = np.random.default_rng(0)
    values = draw.uniform(-1, 1, (3, 2, len(SCORE_KEYS)))
    scores = scores_of(values.tolist())
    blocks = seeds_table(scores, summary_of(scores), SCORE_KEYS).split("\n\n")
    assert len(blocks) == 2
    for i, (split, block) in enumerate(zip(SPLITS, blocks, strict=True)):
        top, *lines = block.strip("\n").splitlines()
        assert top.split() == [split, *SCORE_KEYS]
        rows = [line.rsplit(maxsplit=len(SCORE_KEYS)) for line in lines]
        assert [row[0].split() for row in rows] == [
            *(["seed", str(seed)] for seed in (3, 4, 5)),
            *(["mean"], ["stdev"]),
        ]
        own = values[:, i]
        expected = [*own, own.mean(0), own.std(0, ddof=1)]
        for row, numbers in zip(rows, expected, strict=True):
            assert row[1:] == [f"{number:.4f}" for number in numbers]


def test_the_table_has_the_metrics_that_are_asked_for() -> None:
    scores = scores_of([[[0.5] * 5, [0.25] * 5]])
    text = seeds_table(scores, summary_of(scores), ["score", "sts_corr"])
    assert text.splitlines()[1].split() == ["select", "score", "sts_corr"]
    assert text.splitlines()[2].split() == ["seed", "3", "0.5000", "0.5000"]
    assert "score_2024" not in text


def test_one_seed_has_no_deviation() -> None:
    scores = scores_of([[[0.5] * 5, [0.25] * 5]])
    *_, last = seeds_table(scores, summary_of(scores), SCORE_KEYS).splitlines()
    assert last.split() == ["stdev", *["-"] * 5]


def test_without_scores_there_is_a_sentence() -> None:
    assert summary_of({1: {}, 2: {}}) == {}
    assert "nothing left to score on" in seeds_table({1: {}, 2: {}}, {}, SCORE_KEYS)


def test_columns_stand_below_their_names() -> None:
    top = heading("x", 12, SCORE_KEYS)
    scores = scores_of([[[0.5] * 5, [0.25] * 5]])
    line = seeds_table(scores, summary_of(scores), SCORE_KEYS).splitlines()[2]
    assert len(top) == len(line)
