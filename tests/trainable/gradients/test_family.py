"""The contract of gradient methods, over the union: a new method is tested without being named."""

from __future__ import annotations

import copy
import itertools
import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.course import TASK_NAMES, TRAIN_NAMES
from tests.trainable.gradients.drawn import kind_of, members
from trainable.gradients.cagrad import CAGrad
from trainable.gradients.dynamic_weight_average import DynamicWeightAverage
from trainable.gradients.family import Gradients, ScalarGradients
from trainable.gradients.gradvac import GradVac
from trainable.gradients.loss_improvement import LossImprovement
from trainable.gradients.loss_weights import PlainGradients, WeightedGradients
from trainable.tasks import TaskName

ALL = [*members(Gradients), LossImprovement(standardised=True)]
SCALAR = members(ScalarGradients)


class TwoLayers(nn.Module):
    """A shared layer and a head for each task, as small as a multitask network can be."""

    def __init__(self, tasks: tuple[TaskName, ...]) -> None:
        super().__init__()
        self.shared = nn.Linear(5, 4)
        self.heads = nn.ModuleDict({task: nn.Linear(4, 1) for task in tasks})

    def loss(self, task: TaskName, inputs: Tensor) -> Tensor:
        number = TRAIN_NAMES.index(task)
        hidden: Tensor = torch.tanh(self.shared(inputs))
        loss: Tensor = self.heads[task](hidden).squeeze(1) - inputs[:, number] * (-2) ** number
        return loss.square().mean()


class Training:
    """A training loop over a tiny network: the protocol of `Weighting`, and nothing else."""

    def __init__(self, config: Any, tasks: tuple[TaskName, ...]) -> None:
        self.tasks = tasks
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = TwoLayers(tasks)
        self.weighting = config.build(tasks)
        self.generator = torch.Generator().manual_seed(0)
        parameters = [*self.model.parameters(), *self.weighting.module.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)

    def step(self, number: int, tasks: tuple[TaskName, ...]) -> None:
        inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(number))
        self.optimizer.zero_grad(set_to_none=True)
        losses = {task: self.model.loss(task, inputs) for task in tasks}
        if self.weighting.needs_gram:
            self._backward_apart(losses)
        else:
            self.weighting.total(losses).backward()
        self.optimizer.step()

    def _backward_apart(self, losses: dict[TaskName, Tensor]) -> None:
        parameters = list(self.model.shared.parameters())
        rows = []
        for task, loss in losses.items():
            self.weighting.total({task: loss}).backward(retain_graph=True)
            rows.append([p.grad for p in parameters])
            for p in parameters:
                p.grad = None
        flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
        heads = [list(self.model.heads[task].parameters()) for task in losses]
        own = torch.stack([sum(p.grad.square().sum() for p in head) for head in heads]).double()
        weights = self.weighting.weights(
            tuple(losses), (flat @ flat.T).double(), own, self.generator
        )
        for parameter, gradients in zip(parameters, zip(*rows, strict=True), strict=True):
            parameter.grad = sum(
                w * g for w, g in zip(weights.shared.tolist(), gradients, strict=True)
            )
        for head, factor in zip(heads, weights.own.tolist(), strict=True):
            for parameter in head:
                parameter.grad = parameter.grad * factor

    def save(self) -> Any:
        return {
            "json": json.dumps(self.weighting.state(), allow_nan=False),
            "tensors": copy.deepcopy(
                [part.state_dict() for part in self._stateful()] + [self.generator.get_state()]
            ),
        }

    def load(self, saved: Any) -> None:
        self.weighting.load(json.loads(saved["json"]))
        *parts, generator = saved["tensors"]
        for part, state in zip(self._stateful(), parts, strict=True):
            part.load_state_dict(state)
        self.generator.set_state(generator)

    def _stateful(self) -> list[Any]:
        return [self.model, self.weighting.module, self.optimizer]

    def values(self) -> list[list[float]]:
        modules = (self.model, self.weighting.module)
        return [p.flatten().tolist() for module in modules for p in module.parameters()]


def test_all_methods_are_tested() -> None:
    assert {config.kind for config in ALL} >= {
        *("plain", "weighted", "loss_improvement", "uncertainty", "dwa"),
        *("pcgrad", "pcgrad_tseng", "gradvac", "mgda", "cagrad"),
        *("imtl_g", "aligned_mtl", "nash_mtl"),
    }
    assert {config.kind for config in SCALAR} >= {"plain", "weighted", "uncertainty", "dwa"}


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 4])
@pytest.mark.parametrize("config", ALL, ids=kind_of)
def test_updates_are_finite_and_train_every_parameter(config: Any, n_tasks: int) -> None:
    tasks = TRAIN_NAMES[:n_tasks]
    training = Training(config, tasks)
    before = training.values()
    for number in range(5):
        training.step(number, tasks)
    after = training.values()
    assert all(math.isfinite(x) for row in after for x in row)
    assert all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("config", ALL, ids=kind_of)
def test_a_run_goes_on_from_its_state_bit_for_bit(config: Any) -> None:
    whole, first, second = (Training(config, TRAIN_NAMES) for _ in range(3))
    for number in range(9):
        whole.step(number, TRAIN_NAMES)
    for number in range(5):
        first.step(number, TRAIN_NAMES)
    second.load(first.save())
    for number in range(5, 9):
        second.step(number, TRAIN_NAMES)
    assert second.values() == whole.values()


@pytest.mark.parametrize("config", SCALAR, ids=kind_of)
def test_scalar_gradients_work_with_one_task_a_step(config: Any) -> None:
    whole, first, second = (Training(config, TASK_NAMES) for _ in range(3))
    assert not whole.weighting.needs_gram
    for number in range(12):
        whole.step(number, (TASK_NAMES[number % 3],))
    for number in range(7):
        first.step(number, (TASK_NAMES[number % 3],))
    second.load(first.save())
    for number in range(7, 12):
        second.step(number, (TASK_NAMES[number % 3],))
    assert second.values() == whole.values()
    assert all(math.isfinite(x) for row in whole.values() for x in row)


@pytest.mark.parametrize("config", ALL, ids=kind_of)
def test_every_method_differs_from_the_sum(config: Any) -> None:
    if config == WeightedGradients():
        config = WeightedGradients(log={"para": 1.0})
    plain, other = Training(PlainGradients(), TASK_NAMES), Training(config, TASK_NAMES)
    for number in range(8):
        plain.step(number, TASK_NAMES)
        other.step(number, TASK_NAMES)
    same = plain.values()[:2] == other.values()[:2]  # the shared layer's
    assert same == (config.kind == "plain")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CAGrad(c=0.1), CAGrad(c=0.9)),
        (GradVac(beta=0.01), GradVac(beta=0.5)),
        (DynamicWeightAverage(window=2), DynamicWeightAverage(window=3)),
        (
            DynamicWeightAverage(window=2, temperature=0.1),
            DynamicWeightAverage(window=2, temperature=5.0),
        ),
        (LossImprovement(), LossImprovement(standardised=True)),
        (WeightedGradients(log={"sts": -1.0}), WeightedGradients(log={"sts": 1.0})),
    ],
    ids=kind_of,
)
def test_every_hyperparameter_reaches_the_update(one: Any, other: Any) -> None:
    trainings = [Training(config, TASK_NAMES) for config in (one, other)]
    for number, training in itertools.product(range(8), trainings):
        training.step(number, TASK_NAMES)
    assert trainings[0].values() != trainings[1].values()
