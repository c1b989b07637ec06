"""Batches of the stages before the tasks: sentences with special tokens, packed."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from trainable.data.sentences import N_SPECIAL_TOKENS, Sentences
from trainable.data.special_tokens import special_tokens
from trainable.model.packing import Packed, attention_layout


def with_special_tokens(sentences: Sentences, tokenizer: Tokenizer) -> Sentences:
    """Return [CLS] sentence [SEP], or what the tokenizer has for them, for each sentence."""
    special = special_tokens(tokenizer)
    lengths = sentences.lengths
    offsets = torch.nn.functional.pad((lengths + N_SPECIAL_TOKENS).cumsum(0), (1, 0))
    tokens = torch.full((int(offsets[-1]),), special.sep, dtype=torch.int32)
    tokens[offsets[:-1]] = special.cls
    # i + 1 [CLS] and i [SEP] come before the words of sentence i.
    shifts = 1 + N_SPECIAL_TOKENS * torch.arange(len(sentences))
    places = torch.arange(len(sentences.tokens)) + shifts.repeat_interleave(lengths)
    tokens[places] = sentences.tokens
    return Sentences(tokens, offsets)


def by_length(sentences: Sentences, numbers: Tensor) -> tuple[Sentences, Tensor]:
    """Return the sentences `numbers`, (n,) int64, sorted by length, and their new rows, (n,)."""
    order = sentences.lengths[numbers].argsort(stable=True)
    rows = torch.empty_like(order)
    rows[order] = torch.arange(len(order))
    return sentences.select(numbers[order]), rows


def pack(sequences: Sentences, device: torch.device) -> Packed:
    """Return sequences, sorted by length and with special tokens, as a batch on the device."""
    lengths = sequences.lengths
    sequence_of_token = torch.repeat_interleave(lengths)
    positions = torch.arange(len(sequences.tokens)) - sequences.offsets[sequence_of_token]
    return Packed(
        tokens=sequences.tokens.long().to(device),
        segments=torch.zeros_like(positions, device=device),
        positions=positions.to(device),
        cu_seqlens=sequences.offsets.to(device),
        sequence_of_token=sequence_of_token.to(device),
        attention=attention_layout(lengths, device),
    )
