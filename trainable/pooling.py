"""Poolings: from the states of a sequence's tokens to one vector."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.bert import BertPooler
from trainable.component import Choice, Component
from trainable.packing import Packed


class SequenceStates:
    """The encoder's output, seen per sequence.

    Args:
        hidden: (n_tokens, width) last hidden states.
        packed: The batch that they belong to.
        pooler: The encoder's pretrained pooler.
    """

    def __init__(self, hidden: Tensor, packed: Packed, pooler: BertPooler) -> None:
        self.hidden = hidden
        self.packed = packed
        self.pooler = pooler

    @cached_property
    def cls(self) -> Tensor:
        """States of [CLS], (n_seqs, width)."""
        return self.hidden[self.packed.cu_seqlens[:-1]]

    @cached_property
    def mean(self) -> Tensor:
        """Mean over all tokens of each sequence, [CLS] and [SEP] included, (n_seqs, width)."""
        n_seqs = len(self.packed.cu_seqlens) - 1
        sums = self.hidden.new_zeros(n_seqs, self.hidden.shape[1])
        sums = sums.index_add(0, self.packed.sequence_of_token, self.hidden)
        return sums / self.packed.cu_seqlens.diff()[:, None]


class Cls(nn.Module):
    """The state of [CLS], or what the pretrained pooler makes of it."""

    def __init__(self, pooler: bool) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return (len(rows), width)."""
        cls = states.cls[rows]
        return states.pooler(cls) if self.pooler else cls


class Mean(nn.Module):
    """The mean over a sequence's tokens."""

    def forward(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return (len(rows), width)."""
        return states.mean[rows]


class Weighted(nn.Module):
    """a1 * cls + a2 * mean, with learned a1 and a2 that start at 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return (len(rows), width)."""
        return self.weights[0] * states.cls[rows] + self.weights[1] * states.mean[rows]


class ClsPooling(Component):
    """State of [CLS].

    Attributes:
        pooler: Whether through the pretrained pooler (dense + tanh).
    """

    kind: Literal["cls"] = "cls"
    pooler: Annotated[bool, Choice((False, True))] = False

    def build(self) -> nn.Module:
        """Return the module."""
        return Cls(self.pooler)


class MeanPooling(Component):
    """Mean over all tokens, as in Sentence-BERT (arXiv:1908.10084)."""

    kind: Literal["mean"] = "mean"

    def build(self) -> nn.Module:
        """Return the module."""
        return Mean()


class WeightedPooling(Component):
    """a1 * cls + a2 * mean with learned weights."""

    kind: Literal["weighted"] = "weighted"

    def build(self) -> nn.Module:
        """Return the module."""
        return Weighted()


Pooling = Annotated[ClsPooling | MeanPooling | WeightedPooling, Field(discriminator="kind")]
