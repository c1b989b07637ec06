from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from tests.course import TASK_NAMES
from trainable.gradients.base import GramMethod
from trainable.gradients.gradvac import Vaccine


def gram_of(seed: int, m: int = 3) -> Tensor:
    gradients = torch.randn(
        m, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return gradients @ gradients.T


def test_a_gram_method_leaves_losses_and_own_gradients_as_they_are() -> None:
    weighting = GramMethod(lambda gram, _: gram.sum(0))
    assert weighting.needs_gram
    assert weighting.total({"para": torch.tensor(3.0)}) == 3
    gram = gram_of(0)
    weights = weighting.weights(TASK_NAMES, gram, torch.ones(3).double(), torch.Generator())
    assert torch.equal(weights.shared, gram.sum(0))
    assert weights.own.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "weighting", [GramMethod(lambda gram, _: gram.sum(0)), Vaccine(TASK_NAMES, 0.5)]
)
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_gradients_that_are_not_finite_are_left_to_the_loss_to_report(
    weighting: GramMethod | Vaccine, broken: float
) -> None:
    before = json.dumps(weighting.state())
    gram = torch.full((3, 3), broken, dtype=torch.float64)
    weights = weighting.weights(TASK_NAMES, gram, torch.ones(3).double(), torch.Generator())
    assert weights.shared.tolist() == [1, 1, 1]
    assert json.dumps(weighting.state()) == before
