"""Flat tensors against the plain lists they stand for."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.data.sentences import Sentences, TaskSplit

Lists = list[list[int]]
lists = st.lists(st.lists(st.integers(0, 30_000), max_size=8), max_size=12)


def sentences_of(rows: Lists) -> Sentences:
    tokens = torch.tensor([token for row in rows for token in row], dtype=torch.int32)
    return Sentences(tokens, torch.tensor([0, *accumulate(len(row) for row in rows)]))


def tagged(rows: Lists) -> Sentences:
    """Sentences whose tags are their tokens modulo 13."""
    sentences = sentences_of(rows)
    return replace(sentences, tags=(sentences.tokens % 13).to(torch.uint8))


def rows_of(sentences: Sentences) -> Lists:
    bounds = sentences.offsets.tolist()
    return [sentences.tokens[a:b].tolist() for a, b in pairwise(bounds)]


@given(lists, st.integers(0, 9))
def test_cut_leaves_the_first_tokens_of_each_sentence(rows: Lists, longest: int) -> None:
    cut = tagged(rows).cut(longest)
    assert rows_of(cut) == [row[:longest] for row in rows]
    assert cut.lengths.tolist() == [min(longest, len(row)) for row in rows]
    assert len(cut) == len(rows)
    assert (cut.tokens.dtype, cut.offsets.dtype) == (torch.int32, torch.int64)
    assert cut.tags is not None
    assert torch.equal(cut.tags.int(), cut.tokens % 13)
    assert sentences_of(rows).cut(longest).tags is None


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


def test_task_split_selects_every_part() -> None:
    split = TaskSplit(
        ids=("a", "b", "c"),
        sentence1=sentences_of([[1, 2], [3], []]),
        sentence2=sentences_of([[4], [], [5, 6]]),
        labels=torch.tensor([0.0, 1.0, 2.0]),
    )
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
    assert (rows_of(part.sentence1), part.sentence2, part.labels) == ([[2, 3]], None, None)
