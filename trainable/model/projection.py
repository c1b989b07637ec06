"""Projections: a layer between the pooled vectors of two sentences and what compares them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange
from trainable.model.dropout import Dropout
from trainable.model.heads import ACTIVATIONS, Activation

ProjectionActivation = Activation | Literal["none"]
ActivationField = Annotated[ProjectionActivation, Choice((*ACTIVATIONS, "none"))]
DropoutField = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.8)]


class Dense(nn.Module):
    """Linear, activation, dropout; with `residual`, their result is added to the input.

    Args:
        width: Of input and output.
        activation: Name of the activation, or `none`.
        dropout: After the activation.
        residual: Whether the input is added to the result.
    """

    def __init__(
        self, width: int, activation: ProjectionActivation, dropout: Dropout, residual: bool
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.activation = nn.Identity() if activation == "none" else ACTIVATIONS[activation]()
        self.dropout = dropout
        self.residual = residual

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (n, width) to (n, width)."""
        new = self.dropout(self.activation(self.linear(vectors)))
        return vectors + new if self.residual else new  # type: ignore[no-any-return]


class NoSide(Component):
    """The pooled vectors are compared as they are."""

    kind: Literal["none"] = "none"

    def build(self, width: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, width)."""
        return nn.Identity()


class DenseSide(Component):
    """Linear, activation, dropout on each sentence's vector, with the same weights for both.

    Source: "MT-BERT", section 4.2 (ReLU); "BERT++", section 4.3.5 and table 4 (model E).

    Attributes:
        activation: After the linear layer.
        dropout: After the activation.
    """

    kind: Literal["dense"] = "dense"
    activation: ActivationField = "relu"
    dropout: DropoutField = 0.1

    def build(self, width: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, width)."""
        dropout = Dropout(self.dropout, generator)
        return Dense(width, self.activation, dropout, residual=False)


Side = Annotated[NoSide | DenseSide, Field(discriminator="kind")]
