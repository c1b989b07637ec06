from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainable.model.bert import BertPooler
from trainable.model.packing import Packed, attention_layout
from trainable.model.pooling import (
    Attention,
    AttentionPooling,
    ClsPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
    SequenceStates,
    WeightedPooling,
)

WIDTH = 6
ROWS = torch.tensor([2, 0])  # of the second task of a batch, say
# Every pooling of the union, and what the default of one does not show.
POOLINGS: list[Any] = [*(own() for own in get_args(get_args(Pooling)[0])), ClsPooling(pooler=True)]
# In ascending order, as batches are packed.
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6).map(sorted)
SEEDS = st.integers(0, 2**32 - 1)


def packed_states(lengths: list[int], hidden: Tensor) -> SequenceStates:
    totals = torch.tensor(lengths)
    zeros = torch.zeros(len(hidden), dtype=torch.int64)
    packed = Packed(
        tokens=zeros,
        segments=zeros,
        positions=zeros,
        cu_seqlens=torch.nn.functional.pad(totals.cumsum(0), (1, 0)),
        sequence_of_token=torch.repeat_interleave(totals),
        attention=attention_layout(totals, torch.device("cpu")),
    )
    return SequenceStates(hidden, packed, BertPooler(hidden.shape[1]))


def random_hidden(lengths: list[int], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), WIDTH, generator=generator, dtype=dtype).requires_grad_()


def padded(lengths: list[int], hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n_seqs, longest, width) states with zeros behind, and where the real ones are."""
    states = torch.nn.utils.rnn.pad_sequence(list(torch.split(hidden, lengths)), batch_first=True)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]  # (n_seqs, longest)
    return states, real


def assert_equal_with_gradients(
    compute: Callable[[], Tensor], expected: Callable[[], Tensor], of: list[Tensor], seed: int
) -> None:
    one, other = compute(), expected()
    torch.testing.assert_close(one, other)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(one.shape, generator=generator, dtype=one.dtype)
    found = torch.autograd.grad((one * weights).sum(), of)
    wanted = torch.autograd.grad((other * weights).sum(), of)
    torch.testing.assert_close(found, wanted)


@pytest.fixture
def states() -> SequenceStates:
    return packed_states([1, 2, 4], random_hidden([1, 2, 4], 0, torch.float32))


def test_all_poolings_are_tested() -> None:
    kinds = {pooling.kind for pooling in POOLINGS}
    assert kinds >= {"cls", "mean", "max", "weighted", "attention"}


def test_cls_is_the_state_of_the_first_token(states: SequenceStates) -> None:
    assert torch.equal(ClsPooling().build(WIDTH)(states, ROWS), states.hidden[[3, 0]])


def test_cls_goes_through_the_pretrained_pooler_if_asked(states: SequenceStates) -> None:
    expected = torch.tanh(states.pooler.dense(states.hidden[[3, 0]]))
    torch.testing.assert_close(ClsPooling(pooler=True).build(WIDTH)(states, ROWS), expected)


def test_mean_is_over_the_tokens_of_the_sequence(states: SequenceStates) -> None:
    expected = torch.stack([states.hidden[3:7].mean(0), states.hidden[0]])
    torch.testing.assert_close(MeanPooling().build(WIDTH)(states, ROWS), expected)


def test_weighted_starts_half_way_between_and_learns_both_weights(states: SequenceStates) -> None:
    module = WeightedPooling().build(WIDTH)
    expected = (states.cls[ROWS] + states.mean[ROWS]) / 2
    torch.testing.assert_close(module(states, ROWS), expected)
    module(states, ROWS).sum().backward()
    (weights,) = module.parameters()
    assert weights.grad is not None
    assert (weights.grad != 0).all()


def test_weighted_is_the_weighted_sum(states: SequenceStates) -> None:
    module = WeightedPooling().build(WIDTH)
    (weights,) = module.parameters()
    weights.data = torch.tensor([3.0, -2.0])
    expected = 3 * states.cls[ROWS] - 2 * states.mean[ROWS]
    torch.testing.assert_close(module(states, ROWS), expected)


@given(LENGTHS, SEEDS, st.booleans())
def test_max_is_that_of_padded_sequences(lengths: list[int], seed: int, ties: bool) -> None:
    hidden = random_hidden(lengths, seed)
    if ties:  # a few values only
        hidden = hidden.detach().round().requires_grad_()

    def expected() -> Tensor:
        states, real = padded(lengths, hidden)
        return states.masked_fill(~real[:, :, None], -torch.inf).amax(1)

    module, rows = MaxPooling().build(WIDTH), torch.arange(len(lengths))
    assert_equal_with_gradients(
        lambda: module(packed_states(lengths, hidden), rows), expected, [hidden], seed
    )


@given(LENGTHS, SEEDS, st.floats(-30, 30))
def test_attention_is_that_of_padded_sequences(lengths: list[int], seed: int, scale: float) -> None:
    hidden, module = random_hidden(lengths, seed), Attention(WIDTH).double()
    generator = torch.Generator().manual_seed(seed)
    module.query.data = scale * torch.randn(WIDTH, generator=generator, dtype=torch.float64)

    def expected() -> Tensor:
        states, real = padded(lengths, hidden)
        scores = states @ module.query / WIDTH**0.5  # (n_seqs, longest)
        weights = scores.masked_fill(~real, -torch.inf).softmax(1)
        return torch.einsum("st,stw->sw", weights, states)

    rows = torch.arange(len(lengths))
    assert_equal_with_gradients(
        lambda: module(packed_states(lengths, hidden), rows),
        expected,
        [hidden, module.query],
        seed,
    )


@given(LENGTHS, SEEDS)
def test_attention_starts_as_the_mean_and_learns(lengths: list[int], seed: int) -> None:
    states = packed_states(lengths, random_hidden(lengths, seed))
    rows = torch.arange(len(lengths))
    module = AttentionPooling().build(WIDTH).double()
    torch.testing.assert_close(module(states, rows), states.mean)
    (query,) = module.parameters()
    module(states, rows).square().sum().backward()
    assert query.grad is not None
    assert bool(query.grad.any()) == (max(lengths) > 1)


@pytest.mark.parametrize("factor", [1e3, -1e3])
def test_attention_to_one_token_alone_is_finite(states: SequenceStates, factor: float) -> None:
    module = Attention(WIDTH)
    module.query.data = factor * torch.ones(WIDTH)
    vectors = module(states, ROWS)
    vectors.sum().backward()
    chosen = 3 + (factor * states.hidden[3:7].sum(1)).argmax()
    torch.testing.assert_close(vectors, states.hidden[[int(chosen), 0]])
    assert module.query.grad is not None
    assert torch.isfinite(module.query.grad).all()


@pytest.mark.parametrize("pooling", POOLINGS, ids=repr)
def test_a_cache_of_vectors_is_enough_to_go_on(states: SequenceStates, pooling: Any) -> None:
    module = pooling.build(WIDTH)
    with torch.no_grad():
        cached = module.vectors(states, torch.arange(3))
    assert cached.shape == (3, 2 if isinstance(pooling, WeightedPooling) else 1, WIDTH)
    torch.testing.assert_close(module.combine(cached[ROWS]), module(states, ROWS))


@pytest.mark.parametrize("pooling", POOLINGS, ids=repr)
@given(lengths=LENGTHS, seed=SEEDS)
def test_a_vector_depends_on_its_own_sequence_alone(
    pooling: Any, lengths: list[int], seed: int
) -> None:
    hidden = random_hidden(lengths, seed, torch.float32)
    module = pooling.build(WIDTH)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(seed))
    states = packed_states(lengths, hidden)
    together = module(states, torch.arange(len(lengths)))
    for row, own in enumerate(torch.split(hidden, lengths)):
        alone = packed_states([len(own)], own)
        alone.pooler = states.pooler
        torch.testing.assert_close(module(alone, torch.tensor([0]))[0], together[row])
