"""Poolings: from the states of a sequence's tokens to one vector.

A pooling works in two parts. `vectors` takes what it needs from the encoder, `combine` makes one
vector of it. Where the encoder is frozen, the first part is computed once and kept; the second is
trained on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, PriorWeights
from trainable.model.bert import BertPooler
from trainable.model.packing import Packed


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
        return self.sums(self.hidden) / self.packed.cu_seqlens.diff()[:, None]

    @cached_property
    def max(self) -> Tensor:
        """Largest value of each feature over all tokens of each sequence, (n_seqs, width)."""
        return self.maxima(self.hidden)

    def sums(self, x: Tensor) -> Tensor:
        """Sum (n_tokens, k) over the tokens of each sequence: (n_seqs, k)."""
        zeros = x.new_zeros(len(self.packed.cu_seqlens) - 1, x.shape[1])
        return zeros.index_add(0, self.packed.sequence_of_token, x)

    def maxima(self, x: Tensor) -> Tensor:
        """Take the maximum of (n_tokens, k) over the tokens of each sequence: (n_seqs, k).

        Equal largest values share the gradient evenly, as in `torch.amax`. They do not in
        `torch.segment_reduce` (2.13): each gets all of a negative gradient.
        """
        lowest = x.new_full((len(self.packed.cu_seqlens) - 1, x.shape[1]), -torch.inf)
        sequences = self.packed.sequence_of_token[:, None].expand_as(x)
        return lowest.scatter_reduce(0, sequences, x, "amax")


class PoolingModule(nn.Module, ABC):
    """A pooling at run time, in its two parts; see the module's docstring."""

    @abstractmethod
    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return what `combine` needs from the encoder, (len(rows), k, width)."""

    def combine(self, vectors: Tensor) -> Tensor:
        """Map (n, k, width) to (n, width); here k is 1."""
        return vectors[:, 0]

    def forward(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """Return (len(rows), width)."""
        return self.combine(self.vectors(states, rows))


class Cls(PoolingModule):
    """The state of [CLS], or what the pretrained pooler makes of it."""

    def __init__(self, pooler: bool) -> None:
        super().__init__()
        self.pooler = pooler

    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """See `PoolingModule`; the pretrained pooler belongs to the encoder."""
        cls = states.cls[rows]
        return (states.pooler(cls) if self.pooler else cls)[:, None]


class Mean(PoolingModule):
    """The mean over a sequence's tokens."""

    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """See `PoolingModule`."""
        return states.mean[rows][:, None]


class Max(PoolingModule):
    """The largest value of each feature over a sequence's tokens."""

    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """See `PoolingModule`."""
        return states.max[rows][:, None]


class Weighted(PoolingModule):
    """a1 * cls + a2 * mean, with learned a1 and a2 that start at 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((2,), 0.5))

    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """See `PoolingModule`; k is 2."""
        return torch.stack([states.cls[rows], states.mean[rows]], dim=1)

    def combine(self, vectors: Tensor) -> Tensor:
        """Map (n, 2, width) to (n, width)."""
        return (self.weights[:, None] * vectors).sum(1)


class Attention(PoolingModule):
    """A mean over a sequence's tokens, weighted by how well each fits a learned query.

    The query starts at zero, where all tokens weigh the same: training starts from the mean.

    Args:
        width: Of the states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def vectors(self, states: SequenceStates, rows: Tensor) -> Tensor:
        """See `PoolingModule`."""
        hidden = states.hidden
        # Not a matrix product: autocast would round the scores to bf16.
        scores = (hidden * self.query).sum(1, keepdim=True) / math.sqrt(len(self.query))
        sequence_of_token = states.packed.sequence_of_token
        # Softmax does not change when a constant is subtracted: exp cannot overflow, and the
        # constant needs no gradient.
        largest = states.maxima(scores.detach())[sequence_of_token]
        weights = (scores - largest).exp()  # (n_tokens, 1)
        return (states.sums(weights * hidden) / states.sums(weights))[rows][:, None]


class ClsPooling(Component):
    """State of [CLS].

    Attributes:
        pooler: Whether the state goes through the pretrained pooler (dense + tanh).
    """

    kind: Literal["cls"] = "cls"
    pooler: Annotated[bool, Choice((False, True))] = False

    def build(self, width: int) -> PoolingModule:
        """Return the module."""
        return Cls(self.pooler)


class MeanPooling(Component):
    """Mean over all tokens, as in Sentence-BERT (arXiv:1908.10084)."""

    kind: Literal["mean"] = "mean"

    def build(self, width: int) -> PoolingModule:
        """Return the module."""
        return Mean()


class MaxPooling(Component):
    """Largest value of each feature over all tokens, as in Sentence-BERT (arXiv:1908.10084)."""

    kind: Literal["max"] = "max"

    def build(self, width: int) -> PoolingModule:
        """Return the module."""
        return Max()


class WeightedPooling(Component):
    """a1 * cls + a2 * mean with learned weights.

    Source: "MT-BERT", equation 1. Deviation: there a1 and a2 are hyperparameters.
    """

    kind: Literal["weighted"] = "weighted"

    def build(self, width: int) -> PoolingModule:
        """Return the module."""
        return Weighted()


class AttentionPooling(Component):
    """Mean over all tokens, weighted by a softmax of their products with a learned query.

    Source: Yang et al. 2016 (Hierarchical Attention Networks), equations 5 to 7. Deviations: no
    layer before the product; the product is divided by sqrt(width); the query starts at zero.

    Head tuning does not train the query, because a frozen encoder's cache holds vectors that were
    computed with it.
    """

    kind: Literal["attention"] = "attention"

    def build(self, width: int) -> PoolingModule:
        """Return the module."""
        return Attention(width)


Pooling = Annotated[
    ClsPooling | MeanPooling | MaxPooling | WeightedPooling | AttentionPooling,
    Field(discriminator="kind"),
    PriorWeights({"mean": 4, "attention": 2}),
]
