"""Tokenised examples as flat tensors on the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

N_SPECIAL_TOKENS = 2  # [CLS] and [SEP], or <s> and </s>, around each sentence


@dataclass(frozen=True)
class Sentences:
    """Token ids of many sentences, end to end; without special tokens unless a function adds them.

    Attributes:
        tokens: (n_tokens,) int32.
        offsets: (n_sentences + 1,) int64, non-decreasing from 0 to n_tokens; sentence i is
            `tokens[offsets[i] : offsets[i + 1]]`.
        tags: (n_tokens,) uint8, the part of speech of each token, an index of
            `trainable.data.features.TAGS`; None if nothing was tagged.
    """

    tokens: Tensor
    offsets: Tensor
    tags: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """Tokens per sentence, (n_sentences,) int64."""
        return self.offsets.diff()

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    def select(self, indices: Tensor) -> Sentences:
        """Return the sentences `indices`, (n,) int64, in that order."""
        lengths = self.lengths[indices]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        # Index of each kept token in `tokens`: its index in the result, moved by the distance
        # between the old and the new start of its sentence.
        shift = (self.offsets[indices] - offsets[:-1]).repeat_interleave(lengths)
        position = torch.arange(shift.numel(), device=shift.device) + shift
        tags = None if self.tags is None else self.tags[position]
        return Sentences(self.tokens[position], offsets, tags)

    def cut(self, longest: int) -> Sentences:
        """Return the sentences with the first `longest` tokens of each."""
        place = torch.arange(len(self.tokens)) - self.offsets[:-1].repeat_interleave(self.lengths)
        kept = place < longest
        offsets = torch.nn.functional.pad(self.lengths.clamp(max=longest).cumsum(0), (1, 0))
        return Sentences(self.tokens[kept], offsets, None if self.tags is None else self.tags[kept])


def joined(parts: Iterable[Sentences]) -> Sentences:
    """Return the sentences of all parts, at least one, end to end and without tags."""
    given = list(parts)
    lengths = torch.cat([part.lengths for part in given])
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return Sentences(torch.cat([part.tokens for part in given]), offsets)


def sentences_digest(sentences: Sentences) -> str:
    """Return 16 hex digits of a SHA-256 of token ids and offsets."""
    digest = hashlib.sha256(sentences.offsets.numpy().astype("<i8").tobytes())
    digest.update(sentences.tokens.numpy().astype("<i4").tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class TaskSplit:
    """One split of one task.

    Attributes:
        ids: One id per example, unique.
        sentence1: n sentences.
        sentence2: n sentences, or None for a single-sentence task.
        labels: (n,) float32 in [low, high] of the task, or None for an unlabelled split.
    """

    ids: tuple[str, ...]
    sentence1: Sentences
    sentence2: Sentences | None
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, indices: Tensor) -> TaskSplit:
        """Return the examples `indices`, (n,) int64, in that order."""
        return TaskSplit(
            ids=tuple(self.ids[i] for i in indices.tolist()),
            sentence1=self.sentence1.select(indices),
            sentence2=None if self.sentence2 is None else self.sentence2.select(indices),
            labels=None if self.labels is None else self.labels[indices],
        )
