"""Corrupt text so that a model must restore it: pure functions on packed tokens.

Each returns the corrupted tokens, (n_tokens,), which the encoder reads, and the ascending
positions, (n_predicted,), at which it must predict the original token. Special tokens never change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Corrupted = tuple[Tensor, Tensor]  # tokens, positions


@dataclass(frozen=True)
class Text:
    """Tokens of several sequences, end to end, on the CPU.

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
) -> Corrupted:
    """Choose positions; 80 % become [MASK], 10 % a random token, 10 % stay.

    Source: Devlin et al. 2019 (arXiv:1810.04805), section 3.1. Deviation: drawn anew for every
    batch and independently for each token, as in RoBERTa and transformers; the number of chosen
    positions varies.

    Args:
        text: What to mask.
        probability: Probability that a word is chosen.
        mask_id: Id of [MASK].
        vocab_size: Random tokens are drawn from [0, vocab_size).
        generator: Source of the draws.
    """
    chosen = text.words & (torch.rand(len(text.words), generator=generator) < probability)
    positions = chosen.nonzero().flatten()
    kind = torch.rand(len(positions), generator=generator)
    random = torch.randint(vocab_size, (len(positions),), generator=generator)
    corrupted = torch.where(
        kind < 0.8, mask_id, torch.where(kind < 0.9, random, text.tokens[positions])
    )
    return text.tokens.index_copy(0, positions, corrupted), positions


def shuffle_windows(
    text: Text,
    window: int,
    share: float,
    generator: torch.Generator,
) -> Corrupted:
    """Shuffle the words inside windows of each sequence.

    Args:
        text: What to shuffle.
        window: Words in a window; the last window of a sequence may have fewer.
        share: Probability that a window is shuffled.
        generator: Source of the draws.
    """
    places = text.words.nonzero().flatten()
    number = torch.arange(len(places))
    # The number of each word in its sequence gives each window of any sequence its own number.
    of_sequence = text.sequences[places]
    first = torch.searchsorted(of_sequence, of_sequence)
    starts = (number - first) % window == 0
    windows = starts.cumsum(0) - 1
    n_windows = int(windows[-1]) + 1 if len(windows) else 0
    drawn = torch.rand(n_windows, generator=generator) < share
    # Sorting by window plus a random key in [0, 1) shuffles inside the windows and keeps their
    # order. With many windows float32 has too few digits for the key, so it is float64.
    keys = torch.rand(len(places), generator=generator, dtype=torch.float64)
    order = torch.where(drawn[windows], windows + keys, windows).argsort(stable=True)
    return text.tokens.index_copy(0, places, text.tokens[places[order]]), places[drawn[windows]]


def mask_tails(
    text: Text,
    largest: float,
    mask_id: int,
    generator: torch.Generator,
) -> Corrupted:
    """Hide the words after a random cut in each sequence.

    Args:
        text: What to mask.
        largest: Largest fraction of a sequence's words that is hidden; the fraction is uniform in
            (0, largest]. At least one word is hidden.
        mask_id: Id of [MASK].
        generator: Source of the draws.
    """
    n_sequences = int(text.sequences[-1]) + 1
    words = text.words.long()
    lengths = torch.zeros(n_sequences, dtype=torch.int64).index_add(0, text.sequences, words)
    shares = torch.rand(n_sequences, generator=generator) * largest
    hidden = (shares * lengths).ceil().long().clamp(min=1)
    # Number of words after each token.
    from_end = lengths.cumsum(0)[text.sequences] - words.cumsum(0)
    positions = (text.words & (from_end < hidden[text.sequences])).nonzero().flatten()
    return text.tokens.index_fill(0, positions, mask_id), positions
