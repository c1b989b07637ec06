from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainable.model.dropout import Dropout
from trainable.model.projection import Dense, DenseSide, NoSide, ProjectionActivation

WIDTH = 8
X = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(1))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ["relu", "none"])
def test_dense_is_the_stated_function(activation: ProjectionActivation, residual: bool) -> None:
    module = Dense(WIDTH, activation, Dropout(0.5, generator()), residual).eval()
    (linear,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    expected = X @ linear.weight.T + linear.bias
    if activation == "relu":
        expected = expected.clamp(min=0)
    if residual:
        expected = X + expected
    torch.testing.assert_close(module(X), expected)


def test_dropout_stands_behind_the_activation_and_before_the_sum() -> None:
    module = Dense(4096, "tanh", Dropout(0.75, generator()), residual=True)
    nn.init.zeros_(module.linear.weight)
    nn.init.ones_(module.linear.bias)
    values, counts = module(torch.ones(1, 4096)).unique(return_counts=True)
    # Dropped, and kept and four times as large.
    assert values.tolist() == pytest.approx([1, 1 + 4 * math.tanh(1)])
    assert int(counts[0]) / 4096 == pytest.approx(0.75, abs=0.05)


def test_side_is_a_dense_layer_or_nothing() -> None:
    assert torch.equal(NoSide().build(WIDTH, generator())(X), X)
    module = DenseSide(activation="tanh", dropout=0.8).build(WIDTH, generator())
    assert isinstance(module, Dense)
    assert not module.residual
    assert isinstance(module.activation, nn.Tanh)
    assert module.dropout.threshold == round(0.8 * 256)
