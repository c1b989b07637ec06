"""Scalings: how the cosine of two vectors becomes a score in [0, 1], or the logit of that score.

Losses that take logits (`losses.takes_logits`) get the logit, the others the score.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Component, FloatRange, PriorWeights

_EPS = 1e-4  # a score is kept this far from 0 and 1 where its logit is taken


class Shift(nn.Module):
    """(cos + 1) / 2."""

    def forward(self, cosine: Tensor) -> Tensor:
        """Map [-1, 1] to [0, 1]."""
        return (cosine + 1) / 2


class Logit(nn.Module):
    """The logit of a score; finite at 0 and 1, where it has no gradient."""

    def forward(self, score: Tensor) -> Tensor:
        """Map [0, 1] to the real numbers."""
        return torch.logit(score, eps=_EPS)


class Line(nn.Module):
    """slope * cos + offset.

    Args:
        slope: A number, or a parameter to be learned.
        offset: A number, or a parameter to be learned.
    """

    def __init__(self, slope: float | nn.Parameter, offset: float | nn.Parameter) -> None:
        super().__init__()
        self.slope = slope
        self.offset = offset

    def forward(self, cosine: Tensor) -> Tensor:
        """Return the shape of `cosine`."""
        return self.slope * cosine + self.offset


class ShiftScaling(Component):
    """(cos + 1) / 2."""

    kind: Literal["shift"] = "shift"

    def build(self, as_logit: bool) -> nn.Module:
        """Return a module from cosines to scores, or to their logits."""
        return nn.Sequential(Shift(), Logit()) if as_logit else Shift()


class ReluScaling(Component):
    """max(0, cos): a negative cosine is a score of 0 and has no gradient.

    Source: "Finetuning a multitask BERT", section 4.2.
    """

    kind: Literal["relu"] = "relu"

    def build(self, as_logit: bool) -> nn.Module:
        """Return a module from cosines to scores, or to their logits."""
        return nn.Sequential(nn.ReLU(), Logit()) if as_logit else nn.ReLU()


class IdentityScaling(Component):
    """The cosine as it is: as the score, below 0 too, or as the logit.

    Source: "MT-BERT", equation 3, for the score under squared error; "BERT++", sections 4.3.5 and
    5, for the logit, whose scores lie between sigmoid(-1) = 0.27 and sigmoid(1) = 0.73.
    """

    kind: Literal["identity"] = "identity"

    def build(self, as_logit: bool) -> nn.Module:
        """Return a module from cosines to themselves."""
        return nn.Identity()


class SigmoidScaling(Component):
    """sigmoid(slope * cos) with a fixed slope.

    Source: "BERT++", section 4.3.5: "multiplied with a scalar, then passed into a sigmoid".

    Attributes:
        slope: The larger, the more of [0, 1] the scores reach.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    slope: Annotated[float, Field(gt=0, le=1000), FloatRange(1.0, 20.0, log=True)] = 5.0

    def build(self, as_logit: bool) -> nn.Module:
        """Return a module from cosines to scores, or to their logits."""
        logit = Line(self.slope, 0.0)
        return logit if as_logit else nn.Sequential(logit, nn.Sigmoid())


class LearnedScaling(Component):
    """sigmoid(a * cos + b) with learned a and b, which start at 4 and -4 * center.

    Attributes:
        center: Cosine whose score is 1/2 at the start.
    """

    kind: Literal["learned"] = "learned"
    center: Annotated[float, Field(ge=-1, le=1), FloatRange(0.3, 0.9)] = 0.5

    def build(self, as_logit: bool) -> nn.Module:
        """Return a module from cosines to scores, or to their logits."""
        slope, offset = (nn.Parameter(torch.tensor(v)) for v in (4.0, -4.0 * self.center))
        logit = Line(slope, offset)
        return logit if as_logit else nn.Sequential(logit, nn.Sigmoid())


Scaling = Annotated[
    ShiftScaling | ReluScaling | IdentityScaling | SigmoidScaling | LearnedScaling,
    Field(discriminator="kind"),
    PriorWeights({"relu": 2, "learned": 2}),
]
