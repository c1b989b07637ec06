"""Turn sentences into token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from trainable.data.examples import Examples
from trainable.data.pos_tags import PosTagger
from trainable.data.sentences import N_SPECIAL_TOKENS, Sentences, TaskSplit
from trainable.data.tokenizer import load_tokenizer
from trainable.tasks import TaskName

MAX_SENTENCE_TOKENS = 128 - N_SPECIAL_TOKENS
_ENCODE_AT_ONCE = 1024  # texts; bounds the memory of the tokenizer's own objects


def encode(
    texts: Sequence[str], tokenizer: Tokenizer, tagger: PosTagger | None = None
) -> Sentences:
    """Return the token ids of each text, without special tokens.

    Args:
        texts: The texts.
        tokenizer: Cuts them into tokens.
        tagger: Gives each token its part of speech; None for no tags. NLTK's tagger does about
            10,000 words a second on one core.
    """
    # The fast method leaves out the position of each token in the text; only a tagger needs it.
    encode_batch = tokenizer.encode_batch_fast if tagger is None else tokenizer.encode_batch
    tokens: list[np.ndarray] = []
    tags: list[np.ndarray] = []
    for start in range(0, len(texts), _ENCODE_AT_ONCE):
        part = list(texts[start : start + _ENCODE_AT_ONCE])
        encodings = encode_batch(part, add_special_tokens=False)
        tokens += [np.asarray(encoding.ids, np.int32) for encoding in encodings]
        if tagger is not None:
            for text, encoding in zip(part, encodings, strict=True):
                tags.append(np.asarray(tagger.token_tags(text, encoding.offsets), np.uint8))
    offsets = np.cumsum([0, *(len(ids) for ids in tokens)], dtype=np.int64)
    flat = np.concatenate([np.empty(0, np.int32), *tokens])
    flat_tags = np.concatenate([np.empty(0, np.uint8), *tags])
    return Sentences(
        torch.from_numpy(flat),
        torch.from_numpy(offsets),
        None if tagger is None else torch.from_numpy(flat_tags),
    )


def token_counter(folder: Path) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Return a function from texts to the number of tokens of each, (n,), without special tokens.

    Args:
        folder: As for `load_tokenizer`.

    Raises:
        InputError: As for `load_tokenizer`.
    """
    tokenizer = load_tokenizer(folder)
    return lambda texts: encode(texts, tokenizer).lengths.numpy()


def tokenize(
    examples: Examples, tokenizer: Tokenizer, tagger: PosTagger | None = None
) -> tuple[dict[TaskName, dict[str, TaskSplit]], tuple[str, ...]]:
    """Turn all sentences into token ids, without special tokens, of at most MAX_SENTENCE_TOKENS.

    Args:
        examples: The sentences.
        tokenizer: Cuts them into tokens.
        tagger: Gives each token its part of speech; None for no tags.

    Returns:
        task -> split -> `TaskSplit`, on the CPU, and notes on sentences that were cut or have no
        token.
    """
    splits: dict[TaskName, dict[str, TaskSplit]] = {}
    notes: list[str] = []
    for task, datasets in examples.splits.items():
        splits[task] = {}
        names = ("sentence1", "sentence2") if examples.tasks[task].is_pair else ("sentence1",)
        for split, dataset in datasets.items():
            table = dataset.with_format("arrow")[:]
            whole = [encode(table[name].to_pylist(), tokenizer, tagger) for name in names]
            n_cut = sum(int((own.lengths > MAX_SENTENCE_TOKENS).sum()) for own in whole)
            if n_cut:
                notes.append(
                    f"{task}-{split}: {n_cut:,} sentence{'s' * (n_cut > 1)} cut to "
                    f"{MAX_SENTENCE_TOKENS} tokens"
                )
            if n_empty := sum(int((own.lengths == 0).sum()) for own in whole):
                notes.append(
                    f"{task}-{split}: {n_empty:,} sentence{'s' * (n_empty > 1)} without a token: "
                    "empty, or only characters that the tokenizer drops, such as zero-width spaces"
                )
            first, *second = (own.cut(MAX_SENTENCE_TOKENS) for own in whole)
            splits[task][split] = TaskSplit(
                ids=tuple(table["id"].to_pylist()),
                sentence1=first,
                sentence2=second[0] if second else None,
                labels=_labels(table),
            )
    return splits, tuple(notes)


def _labels(table: pa.Table) -> Tensor | None:
    """Return the labels, (n,) float32; None for a split without labels."""
    if "label" not in table.column_names:
        return None
    return torch.from_numpy(table["label"].to_numpy().copy())  # writable, as torch demands
