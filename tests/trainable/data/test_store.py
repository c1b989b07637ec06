"""Flat tensors against the plain lists they stand for."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.data.store import Sentences, TaskSplit

Lists = list[list[int]]
lists = st.lists(st.lists(st.integers(0, 30_000), max_size=8), max_size=12)


def sentences_of(rows: Lists) -> Sentences:
    return Sentences.from_arrow(pa.chunked_array([pa.array(rows, pa.list_(pa.int32()))]))


def tagged(rows: Lists) -> Sentences:
    """Sentences whose tags are their tokens modulo 13."""
    tags = [[token % 13 for token in row] for row in rows]
    return Sentences.from_arrow(
        pa.chunked_array([pa.array(rows, pa.list_(pa.int32()))]),
        pa.chunked_array([pa.array(tags, pa.list_(pa.uint8()))]),
    )


def rows_of(sentences: Sentences) -> Lists:
    bounds = sentences.offsets.tolist()
    return [sentences.tokens[a:b].tolist() for a, b in pairwise(bounds)]


@given(lists, st.integers(0, 12), st.integers(0, 12))
def test_arrow_lists_come_back_whatever_the_chunks_and_slices(
    rows: Lists, cut: int, at: int
) -> None:
    array = pa.array(rows, pa.list_(pa.int32()))
    chunks = [array[:cut], array[cut:]]
    sentences = Sentences.from_arrow(pa.chunked_array(chunks, pa.list_(pa.int32())).slice(at))
    assert rows_of(sentences) == rows[at:]
    assert sentences.lengths.tolist() == [len(row) for row in rows[at:]]
    assert len(sentences) == len(rows[at:])
    assert (sentences.tokens.dtype, sentences.offsets.dtype) == (torch.int32, torch.int64)


@given(lists.filter(bool), st.data())
def test_select_takes_sentences_in_the_given_order(rows: Lists, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    chosen = sentences_of(rows).select(torch.tensor(indices, dtype=torch.int64))
    assert rows_of(chosen) == [rows[i] for i in indices]


@given(lists.filter(bool), st.data())
def test_tags_stay_with_their_tokens(rows: Lists, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    all_of_them = tagged(rows)
    for sentences in (all_of_them, all_of_them.select(torch.tensor(indices, dtype=torch.int64))):
        assert sentences.tags is not None
        assert sentences.tags.dtype == torch.uint8
        assert torch.equal(sentences.tags.int(), sentences.tokens % 13)
    assert sentences_of(rows).select(torch.tensor([0])).tags is None


def test_task_split_selects_every_part_and_counts_special_tokens() -> None:
    split = TaskSplit(
        ids=("a", "b", "c"),
        sentence1=sentences_of([[1, 2], [3], []]),
        sentence2=sentences_of([[4], [], [5, 6]]),
        labels=torch.tensor([0.0, 1.0, 2.0]),
    )
    assert split.n_tokens == 6 + 2 * 6
    part = split.select(torch.tensor([2, 0]))
    assert part.ids == ("c", "a")
    assert len(part) == 2
    assert rows_of(part.sentence1) == [[], [1, 2]]
    assert part.sentence2 is not None
    assert rows_of(part.sentence2) == [[5, 6], [4]]
    assert part.labels is not None
    assert part.labels.tolist() == [2.0, 0.0]


def test_single_sentence_split_has_no_second_sentence() -> None:
    split = TaskSplit(("a", "b"), sentences_of([[1], [2, 3]]), None, None)
    part = split.select(torch.tensor([1]))
    assert (part.n_tokens, part.sentence2, part.labels) == (4, None, None)
