from __future__ import annotations

import pytest
import torch

from trainable.bert import BertPooler
from trainable.packing import Packed, attention_layout
from trainable.pooling import ClsPooling, MeanPooling, SequenceStates, WeightedPooling

LENGTHS = torch.tensor([1, 2, 4])
ROWS = torch.tensor([2, 0])  # of the second task of a batch, say


@pytest.fixture
def states() -> SequenceStates:
    n_tokens = int(LENGTHS.sum())
    zeros = torch.zeros(n_tokens, dtype=torch.int64)
    packed = Packed(
        tokens=zeros,
        segments=zeros,
        positions=zeros,
        cu_seqlens=torch.tensor([0, 1, 3, 7]),
        sequence_of_token=torch.repeat_interleave(LENGTHS),
        attention=attention_layout(LENGTHS, torch.device("cpu")),
    )
    generator = torch.Generator().manual_seed(0)
    return SequenceStates(torch.randn(n_tokens, 6, generator=generator), packed, BertPooler(6))


def test_cls_is_the_state_of_the_first_token(states: SequenceStates) -> None:
    assert torch.equal(ClsPooling().build()(states, ROWS), states.hidden[[3, 0]])


def test_cls_goes_through_the_pretrained_pooler_if_asked(states: SequenceStates) -> None:
    expected = torch.tanh(states.pooler.dense(states.hidden[[3, 0]]))
    torch.testing.assert_close(ClsPooling(pooler=True).build()(states, ROWS), expected)


def test_mean_is_over_the_tokens_of_the_sequence(states: SequenceStates) -> None:
    expected = torch.stack([states.hidden[3:7].mean(0), states.hidden[0]])
    torch.testing.assert_close(MeanPooling().build()(states, ROWS), expected)


def test_weighted_starts_half_way_between_and_learns_both_weights(states: SequenceStates) -> None:
    module = WeightedPooling().build()
    expected = (states.cls[ROWS] + states.mean[ROWS]) / 2
    torch.testing.assert_close(module(states, ROWS), expected)
    module(states, ROWS).sum().backward()
    (weights,) = module.parameters()
    assert weights.grad is not None
    assert (weights.grad != 0).all()
