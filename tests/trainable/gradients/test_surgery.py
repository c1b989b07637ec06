from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from trainable.gradients.base import GramMethod
from trainable.gradients.gradvac import Vaccine, gradvac_weights
from trainable.gradients.pcgrad import TsengProjection
from trainable.tasks import TASK_NAMES, TrainName


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
    "combination", [GramMethod(lambda gram, _: gram.sum(0)), Vaccine(TASK_NAMES, 0.5)]
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


def test_tseng_weighs_own_gradients_too() -> None:
    gram = torch.tensor([[1.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)
    own = torch.tensor([1.0, 3.0], dtype=torch.float64)
    weights = TsengProjection().weights(("sst", "para"), gram, own, torch.Generator())
    assert weights.own.tolist() == [1.25, 1.125]
    assert weights.shared.tolist() == [0.625, 0.5625]


@pytest.mark.parametrize("names", [("para", "sts"), ("sts", "para")])
def test_vaccine_keeps_a_target_for_each_pair_of_tasks(names: tuple[TrainName, ...]) -> None:
    weighting = Vaccine(TASK_NAMES, beta=0.5)
    gram = gram_of(0, 2)
    own = torch.ones(2, dtype=torch.float64)
    weighting.weights(names, gram, own, torch.Generator())
    _, pair = gradvac_weights(gram, torch.zeros_like(gram), 0.5, torch.Generator())
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            expected[TASK_NAMES.index(one), TASK_NAMES.index(other)] = pair[i, j]
    assert pair[0, 1] != 0
    assert weighting.state()["target"] == expected.tolist()


def test_vaccine_goes_on_from_json_bit_for_bit() -> None:
    own = torch.ones(3, dtype=torch.float64)

    def run(weighting: Vaccine, steps: range) -> list[list[float]]:
        return [
            weighting.weights(
                TASK_NAMES, gram_of(step), own, torch.Generator().manual_seed(step)
            ).shared.tolist()
            for step in steps
        ]

    whole, first, second = (Vaccine(TASK_NAMES, beta=0.3) for _ in range(3))
    expected = run(whole, range(8))
    assert run(first, range(5)) == expected[:5]
    second.load(json.loads(json.dumps(first.state())))
    assert run(second, range(5, 8)) == expected[5:]
