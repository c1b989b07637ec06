"""Tokenised examples as flat tensors on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

N_SPECIAL_TOKENS = 2  # [CLS] and [SEP] around each sentence


@dataclass(frozen=True)
class Sentences:
    """Token ids of many sentences, end to end, without special tokens.

    Attributes:
        tokens: (n_tokens,) int32.
        offsets: (n_sentences + 1,) int64, non-decreasing from 0 to n_tokens; sentence i is
            `tokens[offsets[i] : offsets[i + 1]]`.
        tags: (n_tokens,) uint8, the part of speech of each token as its place in
            `trainable.features.TAGS`; None where nothing was tagged.
    """

    tokens: Tensor
    offsets: Tensor
    tags: Tensor | None = None

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray, tags: pa.ChunkedArray | None = None) -> Sentences:
        """Return the sentences of a column of integer lists, without a Python loop.

        Args:
            column: The tokens of each sentence.
            tags: Their tags, in lists of the same lengths.
        """
        lists = column.combine_chunks()
        lengths = torch.from_numpy(pc.list_value_length(lists).to_numpy().copy())
        offsets = torch.zeros(len(lists) + 1, dtype=torch.int64)
        torch.cumsum(lengths, 0, out=offsets[1:])
        flat_tags = None if tags is None else _flat(tags, pa.uint8())
        return cls(_flat(column, pa.int32()), offsets, flat_tags)

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
        # Position of each kept token in `tokens`: its place in the result, moved by the distance
        # between the old and the new start of its sentence.
        shift = (self.offsets[indices] - offsets[:-1]).repeat_interleave(lengths)
        position = torch.arange(shift.numel(), device=shift.device) + shift
        tags = None if self.tags is None else self.tags[position]
        return Sentences(self.tokens[position], offsets, tags)


@dataclass(frozen=True)
class TaskSplit:
    """One split of one task.

    Attributes:
        ids: One id per example, unique.
        sentence1: n sentences.
        sentence2: n sentences, or None for a single-sentence task.
        labels: (n,) float32 in [0, label_max], or None for an unlabelled split.
    """

    ids: tuple[str, ...]
    sentence1: Sentences
    sentence2: Sentences | None
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_tokens(self) -> int:
        """Real tokens of one pass in siamese form: each sentence with its two special tokens."""
        sentences = [self.sentence1] + ([self.sentence2] if self.sentence2 is not None else [])
        return sum(s.tokens.numel() + N_SPECIAL_TOKENS * len(s) for s in sentences)

    def select(self, indices: Tensor) -> TaskSplit:
        """Return the examples `indices`, (n,) int64, in that order."""
        return TaskSplit(
            ids=tuple(self.ids[i] for i in indices.tolist()),
            sentence1=self.sentence1.select(indices),
            sentence2=None if self.sentence2 is None else self.sentence2.select(indices),
            labels=None if self.labels is None else self.labels[indices],
        )


def _flat(column: pa.ChunkedArray, kind: pa.DataType) -> Tensor:
    """Return the numbers of a column of lists, end to end."""
    # flatten(), unlike .values, respects a slice; the copy is writable, as torch demands.
    return torch.from_numpy(column.combine_chunks().flatten().cast(kind).to_numpy().copy())
