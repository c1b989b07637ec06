"""Packed batches: many sequences in one flat tensor, and the layout that attention needs.

    Packed.tokens      [CLS] a a [SEP] [CLS] b b b [SEP] ...      (n_tokens,)
    Packed.cu_seqlens  0             4               9 ...        (n_seqs + 1,)

Sequences are sorted by length when they are packed, so that sequences of similar length are
neighbours: attention pads only up to the longest of a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Sequences whose lengths round up to the same multiple share one attention call. Small enough
# that padding stays cheap, large enough that a step needs few calls.
_GROUP_STEP = 8


@dataclass(frozen=True)
class Group:
    """Sequences that are padded to one length for attention.

    Attributes:
        first_slot: Where the group starts in the padded tensor.
        n_seqs: Number of sequences.
        length: Padded length.
        mask: (n_seqs, 1, 1, length) bool, True at real tokens; None where nothing is padded.
    """

    first_slot: int
    n_seqs: int
    length: int
    mask: Tensor | None


@dataclass(frozen=True)
class AttentionLayout:
    """How packed tokens are laid out in padded slots.

    Attributes:
        groups: Groups of sequences, in the order of the sequences.
        token_of_slot: (n_slots,) int64; slots of padding point to token 0.
        slot_of_token: (n_tokens,) int64.
    """

    groups: tuple[Group, ...]
    token_of_slot: Tensor
    slot_of_token: Tensor


@dataclass(frozen=True)
class Packed:
    """Sequences of one encoder pass.

    Attributes:
        tokens: (n_tokens,) int64 ids.
        segments: (n_tokens,) int64, 0 or 1.
        positions: (n_tokens,) int64, each sequence from 0.
        cu_seqlens: (n_seqs + 1,) int64, where each sequence starts.
        sequence_of_token: (n_tokens,) int64.
        attention: Layout for attention.
        tags: (n_tokens,) int64 places in `trainable.data.features.TAGS`, for an encoder with a tag
            table; None for others.
    """

    tokens: Tensor
    segments: Tensor
    positions: Tensor
    cu_seqlens: Tensor
    sequence_of_token: Tensor
    attention: AttentionLayout
    tags: Tensor | None = None


def flat_ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """Return the concatenated ranges starts[i] .. starts[i] + lengths[i], int64, on the CPU."""
    ends = lengths.cumsum(0)
    shifts = starts - (ends - lengths)
    return torch.repeat_interleave(shifts, lengths) + torch.arange(int(ends[-1]))


def attention_layout(lengths: Tensor, device: torch.device) -> AttentionLayout:
    """Group sequences that are sorted by length.

    Args:
        lengths: (n_seqs,) int64 on the CPU, in ascending order.
        device: Where the layout is used.
    """
    rounded = (lengths + _GROUP_STEP - 1) // _GROUP_STEP * _GROUP_STEP
    sizes = torch.unique_consecutive(rounded, return_counts=True)[1].tolist()
    # Pad to the longest of the group, not to the rounded length.
    padded = torch.cat([part.max().expand(len(part)) for part in torch.split(lengths, sizes)])
    slot_starts = padded.cumsum(0) - padded
    groups, first_seq = [], 0
    for size in sizes:
        part = lengths[first_seq : first_seq + size]
        length = int(part[-1])
        mask = None
        if int(part[0]) != length:
            mask = (torch.arange(length) < part[:, None])[:, None, None, :].to(device)
        groups.append(Group(int(slot_starts[first_seq]), size, length, mask))
        first_seq += size
    slot_of_token = flat_ranges(slot_starts, lengths)
    token_of_slot = torch.zeros(int(padded.sum()), dtype=torch.int64)
    token_of_slot[slot_of_token] = torch.arange(len(slot_of_token))
    return AttentionLayout(tuple(groups), token_of_slot.to(device), slot_of_token.to(device))


class _Pad(torch.autograd.Function):
    """Rows of tokens to rows of slots. Its gradient is a gather too: no slow scatter-add."""

    @staticmethod
    def forward(ctx, x: Tensor, token_of_slot: Tensor, slot_of_token: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(slot_of_token)
        return x.index_select(0, token_of_slot)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        (slot_of_token,) = ctx.saved_tensors
        # Slots of padding are masked as keys and dropped as queries: their gradient is zero.
        return gradient.index_select(0, slot_of_token), None, None


class _Unpad(torch.autograd.Function):
    """Rows of slots to rows of tokens."""

    @staticmethod
    def forward(ctx, x: Tensor, slot_of_token: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(slot_of_token)
        ctx.n_slots = x.shape[0]
        return x.index_select(0, slot_of_token)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (slot_of_token,) = ctx.saved_tensors
        slots = gradient.new_zeros(ctx.n_slots, gradient.shape[1])
        return slots.index_copy_(0, slot_of_token, gradient), None


def pad(x: Tensor, layout: AttentionLayout) -> Tensor:
    """Map (n_tokens, width) to (n_slots, width)."""
    return _Pad.apply(x, layout.token_of_slot, layout.slot_of_token)  # type: ignore[no-any-return,no-untyped-call]


def unpad(x: Tensor, layout: AttentionLayout) -> Tensor:
    """Map (n_slots, width) to (n_tokens, width)."""
    return _Unpad.apply(x, layout.slot_of_token)  # type: ignore[no-any-return,no-untyped-call]
