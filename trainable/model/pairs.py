"""Pair encodings: how two sentences become outputs. And the layer that pair tasks can share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange, Needs, PriorSpread, PriorWeights
from trainable.model.dropout import Dropout
from trainable.model.heads import Head, LinearHead
from trainable.model.projection import ActivationField, Dense, DropoutField, NoSide, Side
from trainable.model.scalings import LearnedScaling, Scaling

Join = Literal["sep_segments", "sep", "none"]
Features = Literal["uv", "uv_diff", "uv_diff_sq"]


class JointModule(nn.Module):
    """The head on the vector of the joined sequence."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (n, width) to (n, n_outputs)."""
        return self.head(vectors)  # type: ignore[no-any-return]


class SiameseModule(nn.Module):
    """The head on features of two vectors."""

    def __init__(self, side: nn.Module, features: Features, head: nn.Module) -> None:
        super().__init__()
        self.side = side
        self.features = features
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (2n, width), all first sentences before all second ones, to (n, n_outputs)."""
        u, v = self.side(vectors).chunk(2)
        parts = [u, v]
        if self.features != "uv":
            parts.append((u - v).abs())
        if self.features == "uv_diff_sq":
            parts.append((u - v).square())
        return self.head(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class CosineModule(nn.Module):
    """The scaled cosine of two vectors."""

    def __init__(self, side: nn.Module, scaling: nn.Module) -> None:
        super().__init__()
        self.side = side
        self.scaling = scaling

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (2n, width), all first sentences before all second ones, to (n, 1)."""
        u, v = self.side(vectors).chunk(2)
        return self.scaling(F.cosine_similarity(u, v)[:, None])  # type: ignore[no-any-return]


class JointPair(Component):
    """Both sentences in one sequence, so that attention sees the pair (a cross-encoder).

    Attributes:
        join: `sep_segments`: [SEP] between, second sentence in segment 1, as BERT was pretrained;
            `sep`: [SEP] between, one segment; `none`: joined without [SEP], one segment. RoBERTa,
            XLM-R and DistilBERT read no segments, so that the first two are the same there; between
            the sentences RoBERTa and XLM-R have </s></s>. With `none`, the second sentence has the
            tokens that it has alone: in RoBERTa, its first word is one without a space before it.
        head: On the pooled vector.
    """

    kind: Literal["joint"] = "joint"
    join: Annotated[Join, Choice(("sep_segments", "sep", "none"))] = "sep_segments"
    head: Head = LinearHead()

    def build(
        self, width: int, n_outputs: int, as_logit: bool, generator: torch.Generator
    ) -> nn.Module:
        """Return a module from (n, width) to (n, n_outputs)."""
        return JointModule(self.head.build(width, n_outputs, generator))


class SiamesePair(Component):
    """Each sentence encoded by itself; the head sees features of the two vectors.

    Source: Sentence-BERT (arXiv:1908.10084), section 3, for (u, v) and (u, v, |u - v|); "MT-BERT",
    equation 4, for the squares.

    Attributes:
        side: On each vector, before the features.
        features: `uv`: (u, v); `uv_diff`: (u, v, |u - v|); `uv_diff_sq`: (u, v, |u - v|,
            (u - v)^2).
        head: On the features.
    """

    kind: Literal["siamese"] = "siamese"
    side: Side = NoSide()
    features: Annotated[Features, Choice(("uv", "uv_diff", "uv_diff_sq"))] = "uv_diff"
    head: Head = LinearHead()

    def build(
        self, width: int, n_outputs: int, as_logit: bool, generator: torch.Generator
    ) -> nn.Module:
        """Return a module from (2n, width) to (n, n_outputs)."""
        n_parts = {"uv": 2, "uv_diff": 3, "uv_diff_sq": 4}[self.features]
        head = self.head.build(n_parts * width, n_outputs, generator)
        return SiameseModule(self.side.build(width, generator), self.features, head)


class _Cosine(Component):
    """What the cosine encodings of decisions and of numbers have in common."""

    kind: Literal["cosine"] = "cosine"
    side: Side = NoSide()
    scaling: Scaling = LearnedScaling()

    def build(
        self, width: int, n_outputs: int, as_logit: bool, generator: torch.Generator
    ) -> nn.Module:
        """Return a module from (2n, width) to (n, 1); a cosine is one output."""
        return CosineModule(self.side.build(width, generator), self.scaling.build(as_logit))


class NumberCosine(_Cosine):
    """Each sentence encoded by itself; the similarity is the scaled cosine of the two vectors.

    Source: Sentence-BERT (arXiv:1908.10084), section 3.

    Attributes:
        side: On each vector, before the cosine.
        scaling: From the cosine to a score in [0, 1].
    """


class DecisionCosine(_Cosine):
    """Each sentence encoded by itself; a scaled cosine of at least the threshold is class 1.

    Source: "Finetuning a multitask BERT", section 4.3.

    Attributes:
        side: On each vector, before the cosine.
        scaling: From the cosine to a score in [0, 1].
        threshold: Smallest score of class 1. Training does not see it.
    """

    threshold: Annotated[float, Field(gt=0, lt=1), FloatRange(0.3, 0.9), PriorSpread(0.2)] = 0.5


DecisionPair = Annotated[
    JointPair | SiamesePair | DecisionCosine,
    Field(discriminator="kind"),
    PriorWeights({"cosine": 2, "joint": 2}),
]
NumberPair = Annotated[
    JointPair | SiamesePair | NumberCosine,
    Field(discriminator="kind"),
    PriorWeights({"cosine": 4, "siamese": 2}),
]
# A cosine is one number, and cannot tell three classes apart.
VectorPair = Annotated[JointPair | SiamesePair, Field(discriminator="kind")]
Pair = JointPair | SiamesePair | DecisionCosine | NumberCosine


def decision_threshold(pair: Pair | None) -> float:
    """Return the smallest score of class 1: 1/2 unless the encoding has its own.

    A head can learn any threshold through its bias. A cosine has no bias.
    """
    return pair.threshold if isinstance(pair, DecisionCosine) else 0.5


class NoPairLayer(Component):
    """Pair tasks share no layer after the encoder."""

    kind: Literal["none"] = "none"

    def build(self, width: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, width)."""
        return nn.Identity()


class DensePairLayer(Component):
    """Linear, activation, dropout on the pooled vectors of all pair tasks, with shared weights.

    Source: "BERT++", section 5, which shared "the linear layers between the two tasks". Deviation:
    the residual form is ours; it starts near the pooled vectors.

    Attributes:
        activation: After the linear layer.
        dropout: After the activation.
        residual: Whether the pooled vector is added to the result.
    """

    needs: ClassVar[Needs] = Needs(pairs=2)
    kind: Literal["dense"] = "dense"
    activation: ActivationField = "relu"
    dropout: DropoutField = 0.1
    residual: Annotated[bool, Choice((False, True))] = False

    def build(self, width: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, width)."""
        return Dense(width, self.activation, Dropout(self.dropout, generator), self.residual)


PairLayer = Annotated[
    NoPairLayer | DensePairLayer, Field(discriminator="kind"), PriorWeights({"none": 3})
]
