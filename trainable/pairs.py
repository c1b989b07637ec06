"""Pair encodings: how two sentences become logits."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component
from trainable.heads import CosineScale, Head, LinearHead

Join = Literal["sep_segments", "sep", "none"]
Features = Literal["uv", "uv_diff", "uv_diff_sq"]
Scaling = Literal["shift", "relu", "learned"]


class JointModule(nn.Module):
    """The head on the vector of the joined sequence."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (n, width) to (n, 1)."""
        return self.head(vectors)  # type: ignore[no-any-return]


class SiameseModule(nn.Module):
    """The head on features of two vectors."""

    def __init__(self, features: Features, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (2n, width), all first sentences before all second ones, to (n, 1)."""
        u, v = vectors.chunk(2)
        parts = [u, v]
        if self.features != "uv":
            parts.append((u - v).abs())
        if self.features == "uv_diff_sq":
            parts.append((u - v).square())
        return self.head(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


class CosineModule(nn.Module):
    """The scaled cosine of two vectors."""

    def __init__(self, scale: CosineScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (2n, width), all first sentences before all second ones, to (n, 1)."""
        u, v = vectors.chunk(2)
        return self.scale(F.cosine_similarity(u, v)[:, None])  # type: ignore[no-any-return]


class JointPair(Component):
    """Both sentences in one sequence, so that attention sees the pair (a cross-encoder).

    Attributes:
        join: `sep_segments`: [SEP] between, second sentence in segment 1, as BERT was pretrained;
            `sep`: [SEP] between, one segment; `none`: joined without [SEP], one segment.
        head: On the pooled vector.
    """

    kind: Literal["joint"] = "joint"
    join: Annotated[Join, Choice(("sep_segments", "sep", "none"))] = "sep_segments"
    head: Head = LinearHead()

    def build(self, width: int, as_logit: bool, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, 1)."""
        return JointModule(self.head.build(width, 1, generator))


class SiamesePair(Component):
    """Each sentence encoded by itself; the head sees features of the two vectors.

    Source: Sentence-BERT (arXiv:1908.10084), section 3, for the features.

    Attributes:
        features: `uv`: (u, v); `uv_diff`: (u, v, |u - v|); `uv_diff_sq`: (u, v, |u - v|,
            (u - v)^2).
        head: On the features.
    """

    kind: Literal["siamese"] = "siamese"
    features: Annotated[Features, Choice(("uv", "uv_diff", "uv_diff_sq"))] = "uv_diff"
    head: Head = LinearHead()

    def build(self, width: int, as_logit: bool, generator: torch.Generator) -> nn.Module:
        """Return a module from (2n, width) to (n, 1)."""
        n_parts = {"uv": 2, "uv_diff": 3, "uv_diff_sq": 4}[self.features]
        return SiameseModule(self.features, self.head.build(n_parts * width, 1, generator))


class CosinePair(Component):
    """Each sentence encoded by itself; the cosine head compares the two vectors.

    Attributes:
        scaling: How the cosine becomes a score in [0, 1]; see `CosineScale`.
    """

    kind: Literal["cosine"] = "cosine"
    scaling: Annotated[Scaling, Choice(("shift", "relu", "learned"))] = "learned"

    def build(self, width: int, as_logit: bool, generator: torch.Generator) -> nn.Module:
        """Return a module from (2n, width) to (n, 1)."""
        return CosineModule(CosineScale(self.scaling, as_logit))


Pair = Annotated[JointPair | SiamesePair | CosinePair, Field(discriminator="kind")]
