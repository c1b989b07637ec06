"""Batches of sentences, against plain loops and against each sentence alone."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.data.sentences import Sentences
from trainable.data.tokenizer import train_wordpiece
from trainable.model.encoder import build_encoder
from trainable.stages.batches import by_length, pack, with_special_tokens
from trainable.stages.pretraining_loop import StageInputs

LISTS = st.lists(st.lists(st.integers(5, 90), max_size=12), min_size=1, max_size=8)
CPU = torch.device("cpu")


def sentences(lists: list[list[int]]) -> Sentences:
    offsets = torch.tensor([0, *(len(own) for own in lists)]).cumsum(0)
    flat = torch.tensor([token for own in lists for token in own], dtype=torch.int32)
    return Sentences(flat, offsets)


def lists_of(given: Sentences) -> list[list[int]]:
    return [own.tolist() for own in given.tokens.split(given.lengths.tolist())]


@given(LISTS)
def test_special_tokens_stand_around_each_sentence(lists: list[list[int]]) -> None:
    tokenizer = train_wordpiece(["a b c"], 100)
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    found = with_special_tokens(sentences(lists), tokenizer)
    assert lists_of(found) == [[cls, *own, sep] for own in lists]


@given(LISTS, st.data())
def test_by_length_sorts_and_says_where_each_went(
    lists: list[list[int]], data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=9))
    chosen, rows = by_length(sentences(lists), torch.tensor(numbers))
    found = lists_of(chosen)
    assert [len(own) for own in found] == sorted(len(own) for own in found)
    assert [found[row] for row in rows.tolist()] == [lists[number] for number in numbers]


def test_states_of_a_packed_sentence_are_those_of_the_sentence_alone(inputs: StageInputs) -> None:
    encoder = build_encoder(inputs.pretrained, 0.1, CPU, torch.Generator()).eval()
    text = with_special_tokens(inputs.own, inputs.pretrained.tokenizer)
    batch, _ = by_length(text, torch.arange(20))
    together = encoder(pack(batch, CPU)).split(batch.lengths.tolist())
    for number in range(20):
        alone = encoder(pack(batch.select(torch.tensor([number])), CPU))
        torch.testing.assert_close(together[number], alone, atol=1e-5, rtol=1e-5)
