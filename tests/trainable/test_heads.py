from __future__ import annotations

import pytest
import torch
from torch import nn

from trainable.dropout import Dropout
from trainable.heads import CosineScale, LinearHead, MlpHead


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "head", [LinearHead(), MlpHead(), MlpHead(depth=3, width=7, layer_norm=True)], ids=repr
)
def test_head_maps_width_to_outputs(head: LinearHead | MlpHead) -> None:
    assert head.build(12, 5, generator())(torch.randn(4, 12)).shape == (4, 5)


def test_mlp_has_the_parts_asked_for_in_order() -> None:
    head = MlpHead(depth=2, width=7, activation="tanh", dropout=0.25, layer_norm=True)
    module = head.build(12, 5, generator())
    layer = [nn.Linear, nn.LayerNorm, nn.Tanh, Dropout]
    assert [type(part) for part in module.children()] == [*layer, *layer, nn.Linear]
    assert [p.threshold for p in module.modules() if isinstance(p, Dropout)] == [64, 64]
    sizes = [(p.in_features, p.out_features) for p in module.modules() if isinstance(p, nn.Linear)]
    assert sizes == [(12, 7), (7, 7), (7, 5)]


COSINES = torch.tensor([[-1.0], [-0.5], [0.0], [0.8], [1.0]])


def test_cosine_scalings_are_the_stated_functions() -> None:
    assert torch.equal(CosineScale("shift", as_logit=False)(COSINES), (COSINES + 1) / 2)
    assert torch.equal(CosineScale("relu", as_logit=False)(COSINES), COSINES.clamp(min=0))
    learned = CosineScale("learned", as_logit=False)
    assert sum(p.numel() for p in learned.parameters()) == 2
    expected = (learned.slope * COSINES + learned.offset).sigmoid()
    torch.testing.assert_close(learned(COSINES), expected)


@pytest.mark.parametrize("scaling", ["shift", "relu", "learned"])
def test_logit_is_that_of_the_score_and_finite_everywhere(scaling: str) -> None:
    score = CosineScale(scaling, as_logit=False)(COSINES)
    logit = CosineScale(scaling, as_logit=True)(COSINES)
    assert torch.isfinite(logit).all()
    torch.testing.assert_close(logit.sigmoid(), score.clamp(1e-4, 1 - 1e-4))


@pytest.mark.parametrize("scaling", ["shift", "relu", "learned"])
def test_score_lies_between_zero_and_one_and_grows_with_the_cosine(scaling: str) -> None:
    score = CosineScale(scaling, as_logit=False)(torch.linspace(-1, 1, 101)[:, None])[:, 0]
    assert score.min() >= 0
    assert score.max() <= 1
    assert (score.diff() >= 0).all()
    assert score[-1] > score[0]
