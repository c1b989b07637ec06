from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainable.model.packing import AttentionLayout, attention_layout, flat_ranges, pad, unpad

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=30).map(sorted)
CPU = torch.device("cpu")


def layout_of(lengths: list[int]) -> AttentionLayout:
    return attention_layout(torch.tensor(lengths), CPU)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), min_size=1))
def test_flat_ranges_are_the_ranges_one_behind_the_other(ranges: list[tuple[int, int]]) -> None:
    starts, lengths = torch.tensor(ranges).T
    expected = [i for start, length in ranges for i in range(start, start + length)]
    assert flat_ranges(starts, lengths).tolist() == expected


@given(LENGTHS)
def test_every_token_has_one_slot_of_its_own(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    n_tokens = sum(lengths)
    assert layout.slot_of_token.shape == (n_tokens,)
    assert len(set(layout.slot_of_token.tolist())) == n_tokens
    assert torch.equal(layout.token_of_slot[layout.slot_of_token], torch.arange(n_tokens))
    is_padding = torch.ones(len(layout.token_of_slot), dtype=torch.bool)
    is_padding[layout.slot_of_token] = False
    assert not layout.token_of_slot[is_padding].any()


@given(LENGTHS)
def test_groups_cover_sequences_and_slots_in_order(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    token, slot, sequence = 0, 0, 0
    for group in layout.groups:
        assert group.first_slot == slot
        own = lengths[sequence : sequence + group.n_seqs]
        assert group.length == max(own)
        for length in own:
            expected = torch.arange(slot, slot + length)
            assert torch.equal(layout.slot_of_token[token : token + length], expected)
            token, slot = token + length, slot + group.length
        sequence += group.n_seqs
    assert sequence == len(lengths)
    assert slot == len(layout.token_of_slot)


@given(LENGTHS)
def test_masks_are_true_at_real_tokens_and_absent_without_padding(lengths: list[int]) -> None:
    sequence = 0
    for group in layout_of(lengths).groups:
        own = lengths[sequence : sequence + group.n_seqs]
        sequence += group.n_seqs
        if group.mask is None:
            assert set(own) == {group.length}
            continue
        assert group.mask.shape == (group.n_seqs, 1, 1, group.length)
        expected = [[column < length for column in range(group.length)] for length in own]
        assert group.mask[:, 0, 0].tolist() == expected


@given(LENGTHS)
def test_a_sequence_is_padded_by_fewer_than_eight_slots(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    assert len(layout.token_of_slot) - sum(lengths) <= 7 * len(lengths)


@given(LENGTHS)
def test_unpad_undoes_pad(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    x = torch.randn(sum(lengths), 3)
    padded = pad(x, layout)
    assert padded.shape == (len(layout.token_of_slot), 3)
    assert torch.equal(unpad(padded, layout), x)


def attend(x: Tensor, layout: AttentionLayout) -> Tensor:
    """Attention between the tokens of each sequence, as the encoder does it."""
    padded = pad(x, layout)
    parts = []
    for group in layout.groups:
        part = padded[group.first_slot : group.first_slot + group.n_seqs * group.length]
        part = part.view(group.n_seqs, 1, group.length, -1)
        context = F.scaled_dot_product_attention(part, part.sin(), part.cos(), group.mask)
        parts.append(context.reshape(-1, x.shape[1]))
    return unpad(torch.cat(parts), layout)


@pytest.mark.parametrize("lengths", [[1], [2, 2], [1, 3, 4], [2, 3, 9, 10]])
def test_gradient_through_attention_is_right(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sum(lengths), 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attend(x, layout), (x,), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("lengths", [[1, 3, 4], [2, 3, 9, 10]])
def test_pad_and_unpad_have_right_gradients_where_padding_is_ignored(lengths: list[int]) -> None:
    layout = layout_of(lengths)
    x = torch.randn(sum(lengths), 2, dtype=torch.float64, requires_grad=True)
    slots = torch.randn(len(layout.token_of_slot), 2, dtype=torch.float64, requires_grad=True)
    is_real = torch.zeros(len(layout.token_of_slot), 1, dtype=torch.float64)
    is_real[layout.slot_of_token] = 1
    assert torch.autograd.gradcheck(lambda x: pad(x, layout) * is_real, (x,), atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradcheck(
        lambda slots: unpad(slots, layout), (slots,), atol=1e-8, rtol=1e-6
    )
