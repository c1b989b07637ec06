"""Ways to spoil text so that a model must restore it: pure functions on packed tokens.

Each returns what the encoder reads, (n_tokens,), and the positions at which it must predict the
original token, (n_predicted,) ascending. The special tokens around and between sentences are never
touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Spoilt = tuple[Tensor, Tensor]  # inputs, positions


@dataclass(frozen=True)
class Text:
    """Tokens of several sequences, one behind the other, on the CPU.

    Attributes:
        tokens: (n_tokens,) int64.
        words: (n_tokens,) bool, False at special tokens.
        sequences: (n_tokens,) int64, non-decreasing: the sequence of each token.
    """

    tokens: Tensor
    words: Tensor
    sequences: Tensor


def mask_tokens(
    text: Text,
    probability: float,
    mask_id: int,
    vocab_size: int,
    generator: torch.Generator,
) -> Spoilt:
    """Choose positions; 80 % become [MASK], 10 % a random token, 10 % stay.

    Source: Devlin et al. 2019 (arXiv:1810.04805), section 3.1. Deviation: drawn anew for every
    batch and independently for each token, as in RoBERTa and transformers; the number of chosen
    positions varies.

    Args:
        text: What to mask.
        probability: That a word is chosen.
        mask_id: Id of [MASK].
        vocab_size: Random tokens are any of these.
        generator: Source of the draws.
    """
    chosen = text.words & (torch.rand(len(text.words), generator=generator) < probability)
    positions = chosen.nonzero().flatten()
    kind = torch.rand(len(positions), generator=generator)
    random = torch.randint(vocab_size, (len(positions),), generator=generator)
    spoilt = torch.where(
        kind < 0.8, mask_id, torch.where(kind < 0.9, random, text.tokens[positions])
    )
    return text.tokens.index_copy(0, positions, spoilt), positions


def shuffle_windows(
    text: Text,
    window: int,
    share: float,
    generator: torch.Generator,
) -> Spoilt:
    """Shuffle the words inside windows of each sequence.

    Args:
        text: What to shuffle.
        window: Words of a window; the last one of a sequence may have fewer.
        share: Probability that a window is shuffled.
        generator: Source of the draws.
    """
    places = text.words.nonzero().flatten()
    number = torch.arange(len(places))
    # Number of each word inside its sequence, then a number for each window of any sequence.
    of_sequence = text.sequences[places]
    first = torch.searchsorted(of_sequence, of_sequence)
    starts = (number - first) % window == 0
    windows = starts.cumsum(0) - 1
    n_windows = int(windows[-1]) + 1 if len(windows) else 0
    drawn = torch.rand(n_windows, generator=generator) < share
    # Sorted by window and inside it by a random key: a shuffle that leaves windows in their place.
    # float64: with many windows float32 has no room for the key.
    keys = torch.rand(len(places), generator=generator, dtype=torch.float64)
    order = torch.where(drawn[windows], windows + keys, windows).argsort(stable=True)
    return text.tokens.index_copy(0, places, text.tokens[places[order]]), places[drawn[windows]]


def mask_tails(
    text: Text,
    largest: float,
    mask_id: int,
    generator: torch.Generator,
) -> Spoilt:
    """Hide the words behind a random cut of each sequence.

    Args:
        text: What to hide a part of.
        largest: Largest share of a sequence's words that is hidden; the share is uniform in
            (0, largest]. One word at least.
        mask_id: Id of [MASK].
        generator: Source of the draws.
    """
    n_sequences = int(text.sequences[-1]) + 1
    words = text.words.long()
    lengths = torch.zeros(n_sequences, dtype=torch.int64).index_add(0, text.sequences, words)
    shares = torch.rand(n_sequences, generator=generator) * largest
    hidden = (shares * lengths).ceil().long().clamp(min=1)
    # Words behind each token.
    from_end = lengths.cumsum(0)[text.sequences] - words.cumsum(0)
    positions = (text.words & (from_end < hidden[text.sequences])).nonzero().flatten()
    return text.tokens.index_fill(0, positions, mask_id), positions
