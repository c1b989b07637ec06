"""Heads: from a vector to logits."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange, IntRange
from trainable.dropout import Dropout

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class LinearHead(Component):
    """One linear layer."""

    kind: Literal["linear"] = "linear"

    def build(self, width: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, n_outputs)."""
        return nn.Linear(width, n_outputs)


class MlpHead(Component):
    """Hidden layers of linear, LayerNorm (if asked for), activation and dropout; then linear.

    Attributes:
        depth: Number of hidden layers.
        width: Their width.
        activation: After each hidden layer.
        dropout: After each activation.
        layer_norm: Whether a LayerNorm stands before each activation.
    """

    kind: Literal["mlp"] = "mlp"
    depth: Annotated[int, Field(ge=1, le=8), IntRange(1, 2)] = 1
    width: Annotated[int, Field(ge=1, le=8192), Choice((64, 128, 256, 512, 768))] = 256
    activation: Annotated[Literal["relu", "gelu", "tanh"], Choice(("relu", "gelu", "tanh"))] = (
        "gelu"
    )
    dropout: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.5)] = 0.1
    layer_norm: Annotated[bool, Choice((False, True))] = False

    def build(self, width: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, n_outputs)."""
        layers: list[nn.Module] = []
        for _ in range(self.depth):
            layers.append(nn.Linear(width, self.width))
            if self.layer_norm:
                layers.append(nn.LayerNorm(self.width))
            layers += [_ACTIVATIONS[self.activation](), Dropout(self.dropout, generator)]
            width = self.width
        return nn.Sequential(*layers, nn.Linear(width, n_outputs))


Head = Annotated[LinearHead | MlpHead, Field(discriminator="kind")]


class CosineScale(nn.Module):
    """From the cosine of two vectors to a score in [0, 1], or to the logit of that score.

    Args:
        scaling: `shift`: (cos + 1) / 2; `relu`: max(0, cos); `learned`: sigmoid(a * cos + b) with
            learned a and b.
        as_logit: Return the logit of the score, for losses that take logits.
    """

    def __init__(self, scaling: str, as_logit: bool) -> None:
        super().__init__()
        self.scaling = scaling
        self.as_logit = as_logit
        if scaling == "learned":
            self.slope = nn.Parameter(torch.tensor(4.0))
            self.offset = nn.Parameter(torch.tensor(-2.0))

    def forward(self, cosine: Tensor) -> Tensor:
        """Map (n, 1) in [-1, 1] to (n, 1)."""
        if self.scaling == "learned":
            logit = self.slope * cosine + self.offset
            return logit if self.as_logit else torch.sigmoid(logit)
        score = (cosine + 1) / 2 if self.scaling == "shift" else torch.relu(cosine)
        # Clamped so that a cosine of exactly 1 has a finite logit.
        return torch.logit(score, eps=1e-4) if self.as_logit else score
