"""Corrupted text: which positions, what stands there, what is never touched."""

from __future__ import annotations

import math
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainable.stages.corruption import Text, mask_tails, mask_tokens, shuffle_windows

CLS, SEP, MASK = 1, 2, 3
VOCABULARY = 50

# Chunks as lists of words (10 and above) and separators.
CHUNKS = st.lists(
    st.lists(st.sampled_from([SEP, *range(10, VOCABULARY)]), max_size=20), min_size=1, max_size=5
)
SEEDS = st.integers(0, 2**31)


def packed(chunks: list[list[int]]) -> Text:
    """Return [CLS] chunk [SEP] of each chunk."""
    full = [[CLS, *chunk, SEP] for chunk in chunks]
    tokens = torch.tensor([token for chunk in full for token in chunk])
    sequences = torch.repeat_interleave(torch.tensor([len(chunk) for chunk in full]))
    return Text(tokens, (tokens != CLS) & (tokens != SEP), sequences)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_fifteen_percent_are_chosen_and_become_80_10_10() -> None:
    n = 200_000
    # Above 1000: random tokens come from a range of their own, so that a kept token is no random
    # one.
    tokens = torch.randint(1000, 1050, (n,), generator=generator(0))
    text = Text(tokens, torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64))
    inputs, positions = mask_tokens(text, 0.15, MASK, 1000, generator(1))
    assert_share(len(positions), n, 0.15)
    corrupted, original = inputs[positions], tokens[positions]
    masked, kept = corrupted == MASK, corrupted == original
    # One random token in 1000 is [MASK], too.
    assert_share(int(masked.sum()), len(positions), 0.8 + 0.1 / 1000)
    assert_share(int(kept.sum()), len(positions), 0.1)
    random = corrupted[~masked & ~kept]
    assert_share(len(random), len(positions), 0.1 - 0.1 / 1000)
    assert int(random.max()) < 1000
    assert len(random.unique()) > 900


def assert_share(count: int, n: int, share: float) -> None:
    """Five standard deviations of a binomial."""
    assert abs(count - n * share) < 5 * math.sqrt(n * share * (1 - share))


@given(CHUNKS, SEEDS, st.floats(0.01, 0.99))
def test_masking_changes_nothing_but_chosen_words(
    chunks: list[list[int]], seed: int, probability: float
) -> None:
    text = packed(chunks)
    before = text.tokens.clone()
    inputs, positions = mask_tokens(text, probability, MASK, VOCABULARY, generator(seed))
    assert torch.equal(text.tokens, before)
    assert text.words[positions].all()
    others = torch.ones(len(before), dtype=torch.bool)
    others[positions] = False
    assert torch.equal(inputs[others], before[others])


def test_masking_is_drawn_anew_each_time() -> None:
    text = packed([list(range(10, 50))])
    draws = generator(0)
    first, second = (mask_tokens(text, 0.5, MASK, VOCABULARY, draws) for _ in range(2))
    assert not torch.equal(first[0], second[0])


def windows_of(tokens: Tensor, chunks: list[list[int]], size: int) -> list[list[int]]:
    """Return the words of each window of each chunk, by plain slicing."""
    found = []
    flat = tokens.tolist()
    for chunk in chunks:
        own, flat = flat[: len(chunk) + 2], flat[len(chunk) + 2 :]
        said = [token for token in own if token not in (CLS, SEP)]
        found += [said[start : start + size] for start in range(0, len(said), size)]
    return found


@given(CHUNKS, SEEDS, st.integers(2, 9), st.floats(0.01, 1))
def test_shuffling_keeps_the_words_of_each_window(
    chunks: list[list[int]], seed: int, size: int, share: float
) -> None:
    text = packed(chunks)
    tokens, words = text.tokens, text.words
    inputs, positions = shuffle_windows(text, size, share, generator(seed))
    assert torch.equal(inputs[~words], tokens[~words])
    before, after = (windows_of(t, chunks, size) for t in (tokens, inputs))
    assert [Counter(window) for window in before] == [Counter(window) for window in after]
    others = torch.ones(len(tokens), dtype=torch.bool)
    others[positions] = False
    assert torch.equal(inputs[others], tokens[others])
    # Whole windows are predicted.
    marks = torch.where(others, 100, 200).masked_fill(~words, CLS)
    assert all(len(set(window)) == 1 for window in windows_of(marks, chunks, size))
    if share == 1:
        assert len(positions) == int(words.sum())


def test_a_share_of_the_windows_is_shuffled_and_any_order_is_drawn() -> None:
    text = packed([[10, 11, 12] * 20_000])
    inputs, positions = shuffle_windows(text, 3, 0.25, generator(0))
    assert_share(len(positions) // 3, 20_000, 0.25)
    orders = Counter(tuple(window) for window in inputs[positions].view(-1, 3).tolist())
    assert len(orders) == 6
    for count in orders.values():
        assert_share(count, len(positions) // 3, 1 / 6)


@given(CHUNKS, SEEDS, st.floats(0.01, 1))
def test_a_tail_is_hidden_and_nothing_else(
    chunks: list[list[int]], seed: int, largest: float
) -> None:
    text = packed(chunks)
    tokens, words = text.tokens, text.words
    inputs, positions = mask_tails(text, largest, MASK, generator(seed))
    hidden = torch.zeros(len(tokens), dtype=torch.bool)
    hidden[positions] = True
    assert (inputs[hidden] == MASK).all()
    assert torch.equal(inputs[~hidden], tokens[~hidden])
    assert words[hidden].all()
    for number in range(len(chunks)):
        own = hidden[words & (text.sequences == number)].tolist()
        if own:
            n_hidden = sum(own)
            assert own == [False] * (len(own) - n_hidden) + [True] * n_hidden
            assert 1 <= n_hidden <= math.ceil(largest * len(own))


def test_cuts_are_everywhere() -> None:
    text = packed([list(range(10, 20))] * 2000)
    _, positions = mask_tails(text, 1.0, MASK, generator(0))
    counts = Counter(Counter(text.sequences[positions].tolist()).values())
    assert sorted(counts) == list(range(1, 11))
    for count in counts.values():
        assert_share(count, 2000, 0.1)
