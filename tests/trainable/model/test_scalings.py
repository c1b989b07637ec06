from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from trainable.model.scalings import (
    IdentityScaling,
    LearnedScaling,
    ReluScaling,
    Scaling,
    ShiftScaling,
    SigmoidScaling,
)

AnyScaling = ShiftScaling | ReluScaling | IdentityScaling | SigmoidScaling | LearnedScaling
COSINES = torch.tensor([[-1.0], [-0.5], [0.0], [0.8], [1.0]])
SCORES: list[tuple[AnyScaling, Tensor]] = [
    (ShiftScaling(), (COSINES + 1) / 2),
    (ReluScaling(), COSINES.clamp(min=0)),
    (IdentityScaling(), COSINES),
    (SigmoidScaling(slope=3.0), 1 / (1 + (-3 * COSINES).exp())),
    (LearnedScaling(), 1 / (1 + (2 - 4 * COSINES).exp())),
    (LearnedScaling(center=0.75), 1 / (1 + (3 - 4 * COSINES).exp())),
]


def test_all_scalings_are_tested() -> None:
    assert {type(scaling) for scaling, _ in SCORES} == set(get_args(get_args(Scaling)[0]))


@pytest.mark.parametrize(("scaling", "scores"), SCORES, ids=repr)
def test_score_is_the_stated_function(scaling: AnyScaling, scores: Tensor) -> None:
    torch.testing.assert_close(scaling.build(as_logit=False)(COSINES), scores)


@pytest.mark.parametrize(("scaling", "scores"), SCORES, ids=repr)
def test_logit_is_that_of_the_score_and_finite_everywhere(
    scaling: AnyScaling, scores: Tensor
) -> None:
    logit = scaling.build(as_logit=True)(COSINES)
    assert torch.isfinite(logit).all()
    if isinstance(scaling, IdentityScaling):
        assert torch.equal(logit, COSINES)
    else:
        torch.testing.assert_close(logit.sigmoid(), scores.clamp(1e-4, 1 - 1e-4))


@pytest.mark.parametrize("as_logit", [False, True])
@pytest.mark.parametrize("scaling", [scaling for scaling, _ in SCORES], ids=repr)
def test_output_grows_with_the_cosine(scaling: AnyScaling, as_logit: bool) -> None:
    outputs = scaling.build(as_logit)(torch.linspace(-1, 1, 101)[:, None])[:, 0]
    assert (outputs.diff() >= 0).all()
    assert outputs[-1] > outputs[0]


def test_only_the_learned_scaling_learns() -> None:
    numbers = {type(s): len(list(s.build(as_logit=True).parameters())) for s, _ in SCORES}
    assert numbers.pop(LearnedScaling) == 2
    assert set(numbers.values()) == {0}
    module = LearnedScaling().build(as_logit=False)
    module(COSINES).square().sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad != 0
