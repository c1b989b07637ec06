"""Heads: from a vector to logits."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from trainable.component import Choice, Component, FloatRange, IntRange
from trainable.model.dropout import Dropout

Activation = Literal["relu", "gelu", "tanh", "leaky_relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
}


class LinearHead(Component):
    """One linear layer."""

    kind: Literal["linear"] = "linear"

    def build(self, width: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, n_outputs)."""
        return nn.Linear(width, n_outputs)


class MlpHead(Component):
    """Hidden layers of linear, LayerNorm (if asked for), activation and dropout; then linear.

    After the dropout of the pooled vector this is the two-layer classifier of "Finetuning a
    multitask BERT" (section 4.3: GELU, no dropout), the added layer of "Leave It To BERT" (section
    4.2: leaky ReLU, dropout 0.45) and the SST layers of "MT-BERT" (section 4.2: ReLU, LayerNorm).

    Attributes:
        depth: Number of hidden layers.
        width: Their width.
        activation: In each hidden layer; `leaky_relu` has a slope of 0.01 below zero.
        dropout: After each activation.
        layer_norm: Whether a LayerNorm stands before each activation.
    """

    kind: Literal["mlp"] = "mlp"
    depth: Annotated[int, Field(ge=1, le=8), IntRange(1, 2)] = 1
    width: Annotated[int, Field(ge=1, le=8192), Choice((64, 128, 256, 512, 768))] = 256
    activation: Annotated[Activation, Choice(tuple(ACTIVATIONS))] = "gelu"
    dropout: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.8)] = 0.1
    layer_norm: Annotated[bool, Choice((False, True))] = False

    def build(self, width: int, n_outputs: int, generator: torch.Generator) -> nn.Module:
        """Return a module from (n, width) to (n, n_outputs)."""
        layers: list[nn.Module] = []
        for _ in range(self.depth):
            layers.append(nn.Linear(width, self.width))
            if self.layer_norm:
                layers.append(nn.LayerNorm(self.width))
            layers += [ACTIVATIONS[self.activation](), Dropout(self.dropout, generator)]
            width = self.width
        return nn.Sequential(*layers, nn.Linear(width, n_outputs))


Head = Annotated[LinearHead | MlpHead, Field(discriminator="kind")]
