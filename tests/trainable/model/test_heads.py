from __future__ import annotations

import pytest
import torch
from torch import nn

from trainable.model.dropout import Dropout
from trainable.model.heads import Activation, LinearHead, MlpHead

X = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "head", [LinearHead(), MlpHead(), MlpHead(depth=3, width=7, layer_norm=True)], ids=repr
)
def test_head_maps_width_to_outputs(head: LinearHead | MlpHead) -> None:
    assert head.build(12, 5, generator())(X).shape == (4, 5)


def test_mlp_has_the_parts_asked_for_in_order() -> None:
    head = MlpHead(depth=2, width=7, activation="tanh", dropout=0.25, layer_norm=True)
    module = head.build(12, 5, generator())
    layer = [nn.Linear, nn.LayerNorm, nn.Tanh, Dropout]
    assert [type(part) for part in module.children()] == [*layer, *layer, nn.Linear]
    assert [p.threshold for p in module.modules() if isinstance(p, Dropout)] == [64, 64]
    sizes = [(p.in_features, p.out_features) for p in module.modules() if isinstance(p, nn.Linear)]
    assert sizes == [(12, 7), (7, 7), (7, 5)]


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "leaky_relu"])
def test_mlp_is_the_stated_function(activation: Activation) -> None:
    module = MlpHead(width=7, activation=activation).build(12, 5, generator()).eval()
    first, last = (part for part in module.modules() if isinstance(part, nn.Linear))
    x = X @ first.weight.T + first.bias
    hidden = {
        "relu": x.clamp(min=0),
        "gelu": x * (1 + torch.erf(x / 2**0.5)) / 2,
        "tanh": 2 / (1 + (-2 * x).exp()) - 1,
        "leaky_relu": torch.where(x > 0, x, 0.01 * x),
    }[activation]
    torch.testing.assert_close(module(X), hidden @ last.weight.T + last.bias)


def test_mlp_drops_the_hidden_layer_in_training_only() -> None:
    module = MlpHead(width=512, activation="tanh", dropout=0.45).build(12, 5, generator())
    hidden = module[:-1](X)  # type: ignore[index]
    assert 0.4 < float((hidden == 0).float().mean()) < 0.5
    assert not torch.equal(module(X), module(X))
    module.eval()
    assert torch.equal(module(X), module(X))
