from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.course import TASK_NAMES, TRAIN_NAMES
from trainable.model.bert import BertShape, MinBert
from trainable.model.dropout import Dropout
from trainable.optim.adamw import (
    Clipping,
    NoClipping,
    NormClipping,
    Optimization,
    build_adamw,
    set_learning_rates,
)
from trainable.optim.schedules import LinearSchedule
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_fields import with_nli
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run

SHAPE = BertShape(30, 12, 3, 3, 20, 40)
RATES = {"sst": 0.5, "para": 1.0, "sts": 4.0}


def encoder() -> MinBert:
    dropout = Dropout(0.0, torch.Generator())
    return MinBert(SHAPE, dropout, dropout)


def head() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.Linear(8, 1))


class Parts:
    """What a model has for the optimizer: encoders, tasks, and what else is shared."""

    def __init__(self, *encoders: str) -> None:
        self.encoders = nn.ModuleDict({name: encoder() for name in encoders})
        self.tasks = nn.ModuleDict({task: head() for task in TASK_NAMES})
        self.others = nn.ModuleList([nn.Linear(12, 12), nn.ParameterList([torch.zeros(3)])])

    def parameters(self) -> list[nn.Parameter]:
        return list(nn.ModuleList([self.encoders, self.tasks, self.others]).parameters())

    def build(self, **settings: Any) -> torch.optim.AdamW:
        return Optimization(**settings).build(self.encoders, self.tasks, self.others)


SHARINGS = pytest.mark.parametrize(
    "parts", [Parts("shared"), Parts(*TASK_NAMES)], ids=["shared", "per_task"]
)


def group_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any]:
    groups = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    assert len(groups) == 1
    return groups[0]


def values(optimizer: torch.optim.Optimizer, module: nn.Module, key: str) -> set[Any]:
    return {group_of(optimizer, parameter)[key] for parameter in module.parameters()}


# Groups


def test_adamw_divides_each_group_into_matrices_and_vectors() -> None:
    own, other = head(), nn.Linear(3, 3, bias=False)
    given = [
        {"params": list(own.parameters()), "peak_lr": 2.0},
        {"params": list(other.parameters()), "peak_lr": 3.0},
        {"params": [], "peak_lr": 4.0},
    ]
    groups = build_adamw(given, 0.5, amsgrad=True).param_groups
    found = [(len(g["params"]), g["peak_lr"], g["weight_decay"]) for g in groups]
    assert found == [(2, 2.0, 0.5), (4, 2.0, 0.0), (1, 3.0, 0.5)]
    for group in groups:
        assert {parameter.ndim for parameter in group["params"]} <= (
            {2} if group["weight_decay"] else {1}
        )
        assert group["fused"]
        assert group["amsgrad"]
    assert not any(group["amsgrad"] for group in build_adamw(given, 0.5).param_groups)


@SHARINGS
def test_every_parameter_is_in_exactly_one_group(parts: Parts) -> None:
    optimizer = parts.build()
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in parts.parameters()}


@SHARINGS
def test_learning_rates_fall_by_layer_and_heads_have_their_own(parts: Parts) -> None:
    optimizer = parts.build(lr=1e-4, head_lr=1e-2, layer_decay=0.5)
    expected = {"embeddings": 1e-4 / 8, "layers.0": 1e-4 / 4, "layers.1": 1e-4 / 2}
    expected |= {"layers.2": 1e-4, "pooler": 1e-4}
    for own in parts.encoders.values():
        seen = set()
        for name, parameter in own.named_parameters():
            part = next(part for part in expected if name.startswith(f"{part}."))
            seen.add(part)
            assert group_of(optimizer, parameter)["peak_lr"] == pytest.approx(expected[part])
        assert seen == set(expected)
    assert values(optimizer, parts.tasks, "peak_lr") == {1e-2}
    assert values(optimizer, parts.others, "peak_lr") == {1e-2}


@SHARINGS
def test_vectors_do_not_decay(parts: Parts) -> None:
    optimizer = parts.build(weight_decay=0.07)
    for module in (parts.encoders, parts.tasks, parts.others):
        for name, parameter in module.named_parameters():
            is_matrix = name.endswith("weight") and "norm" not in name and parameter.ndim == 2
            expected = 0.07 if is_matrix else 0.0
            assert group_of(optimizer, parameter)["weight_decay"] == expected, name


# Learning rates by task


def rates(parts: Parts, tasks: tuple[TaskName, ...]) -> Callable[[nn.Module], float]:
    """Return a function from a module to the one learning rate of all its parameters."""
    optimization = Optimization(
        lr=1e-4, head_lr=1e-2, layer_decay=1.0, warmup=0.0, task_lr=RATES, schedule=LinearSchedule()
    )
    optimization = with_nli(optimization, COURSE)
    optimizer = optimization.build(parts.encoders, parts.tasks, parts.others)
    set_learning_rates(optimizer, optimization, 0.75, tasks)  # the schedule is at 1 / 4

    def rate(module: nn.Module) -> float:
        (lr,) = {round(lr * 4, 12) for lr in values(optimizer, module, "lr")}
        return lr

    return rate


@pytest.mark.parametrize(
    ("tasks", "mean"),
    [
        (("sst",), 0.5),
        (("sts",), 4.0),
        (("nli",), 4.0),
        (("sst", "para"), 0.75),
        (("sst", "para", "sts", "nli"), 2.375),
    ],
)
def test_what_tasks_share_learns_at_their_mean_factor(
    tasks: tuple[TaskName, ...], mean: float
) -> None:
    parts = Parts("shared")
    of = rates(parts, tasks)
    assert of(parts.encoders) == pytest.approx(1e-4 * mean)
    assert of(parts.others) == pytest.approx(1e-2 * mean)
    for task, factor in {"sst": 0.5, "para": 1.0, "sts": 4.0}.items():
        assert of(parts.tasks[task]) == pytest.approx(1e-2 * factor)


def test_encoders_of_one_task_learn_at_its_factor() -> None:
    parts = Parts(*TASK_NAMES)
    of = rates(parts, ("sst", "para", "sts"))
    for task, factor in {"sst": 0.5, "para": 1.0, "sts": 4.0}.items():
        assert of(parts.encoders[task]) == pytest.approx(1e-4 * factor)


@SHARINGS
def test_factors_of_one_change_nothing(parts: Parts) -> None:
    optimization = Optimization()
    optimizer = optimization.build(parts.encoders, parts.tasks, parts.others)
    for progress in (0.01, 0.4):
        set_learning_rates(optimizer, optimization, progress, TRAIN_NAMES)
        factor = optimization.learning_rate_factor(progress)
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(group["peak_lr"] * factor)


# AdamW


@pytest.mark.parametrize("amsgrad", [False, True])
def test_steps_are_those_of_torch(amsgrad: bool) -> None:
    """One torch optimizer for each parameter, not fused, with the rate written out."""
    parts, generator = Parts("shared"), torch.Generator().manual_seed(0)
    optimization = Optimization(lr=1e-2, head_lr=3e-2, weight_decay=0.1, amsgrad=amsgrad)
    optimizer = optimization.build(parts.encoders, parts.tasks, parts.others)
    named = {
        "embeddings.position.weight": (1e-2 * 0.95**3, 0.1),
        "layers.1.feed_in.weight": (1e-2 * 0.95, 0.1),
        "layers.2.feed_norm.bias": (1e-2, 0.0),
    }
    own = dict(parts.encoders["shared"].named_parameters())
    followed = [(own[name], *numbers) for name, numbers in named.items()]
    followed.append((next(parts.others.parameters()), 3e-2, 0.1))
    before = [parameter.detach().clone() for parameter, *_ in followed]
    copies = [nn.Parameter(tensor.clone()) for tensor in before]
    references = [
        torch.optim.AdamW([copy], lr=0.0, weight_decay=decay, amsgrad=amsgrad, fused=False)
        for copy, (_, _, decay) in zip(copies, followed, strict=True)
    ]
    for k in range(8):
        set_learning_rates(optimizer, optimization, k / 8, ("sst",))
        for parameter in parts.parameters():
            # Ever smaller: the largest second moment is then not the current one.
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 0.3**k
        for (parameter, peak, _), copy, reference in zip(followed, copies, references, strict=True):
            copy.grad = parameter.grad
            reference.param_groups[0]["lr"] = peak * optimization.learning_rate_factor(k / 8)
            reference.step()
        optimizer.step()
    for (parameter, *_), copy, start in zip(followed, copies, before, strict=True):
        torch.testing.assert_close(parameter, copy)
        assert (parameter - start).abs().max() > 1e-3


def adamw(w: Tensor, gradients: list[Tensor], rates: list[float], weight_decay: float) -> Tensor:
    """Loshchilov and Hutter 2019 (arXiv:1711.05101), algorithm 2, written out."""
    w, m, v = w.double(), torch.zeros(()), torch.zeros(())
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), 1):
        g = g.double()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        w = w - lr * (step + weight_decay * w)
    return w.float()


def test_a_run_takes_the_steps_of_adamw_at_the_rates_of_the_schedule(inputs: RunInputs) -> None:
    optimization = Optimization(lr=1e-3, layer_decay=0.5, weight_decay=0.1, warmup=0.3)
    stage = Multitask(optimization=optimization, budget_tokens=1500, units=1)
    run = Run(RunConfig(multitask=stage), inputs)
    training = run.training
    assert training is not None
    named = dict(run.model.encoders["shared"].named_parameters())
    parameters = {
        "layers.0.feed_in.weight": (named["layers.0.feed_in.weight"], 5e-4, 0.1),
        "layers.1.feed_norm.bias": (named["layers.1.feed_norm.bias"], 1e-3, 0.0),
        "embeddings.word.weight": (named["embeddings.word.weight"], 2.5e-4, 0.1),
    }
    before = {name: p.detach().clone() for name, (p, *_) in parameters.items()}
    gradients: dict[str, list[Tensor]] = {name: [] for name in parameters}
    tokens = [0]
    while training.tokens < 1500:
        training.step()
        tokens.append(training.tokens)
        for name, (parameter, *_) in parameters.items():
            assert parameter.grad is not None
            gradients[name].append(parameter.grad.clone())
    assert training.steps >= 3
    middles = [(a + b) / 2 / 1500 for a, b in pairwise(tokens)]
    factors = [optimization.learning_rate_factor(min(1.0, middle)) for middle in middles]
    for name, (parameter, peak, decay) in parameters.items():
        rates = [peak * factor for factor in factors]
        expected = adamw(before[name], gradients[name], rates, decay)
        assert (expected - before[name]).abs().max() > 1e-5
        torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=1e-5)


# Clipping


def gradient_after_a_step(clip: Clipping, inputs: RunInputs) -> Tensor:
    """Return the gradient of all parameters that the first step of a run hands to AdamW."""
    stage = Multitask(optimization=Optimization(clip=clip), budget_tokens=1500, units=1)
    run = Run(RunConfig(multitask=stage), inputs)
    assert run.training is not None
    run.training.step()
    gradients = [p.grad.flatten() for p in run.model.parameters() if p.grad is not None]
    return torch.cat(gradients)


def test_a_step_shortens_a_gradient_to_the_norm_and_no_further(inputs: RunInputs) -> None:
    whole = gradient_after_a_step(NoClipping(), inputs)
    norm = float(whole.norm())
    torch.testing.assert_close(
        gradient_after_a_step(NormClipping(max_norm=norm / 4), inputs), whole / 4
    )
    assert torch.equal(gradient_after_a_step(NormClipping(max_norm=norm * 4), inputs), whole)
