from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trainable.bert import BertShape, MinBert
from trainable.dropout import Dropout
from trainable.loop import Run
from trainable.optimization import Optimization
from trainable.run_config import Multitask, RunConfig
from trainable.workbench import Workbench

SHAPE = BertShape(30, 12, 3, 3, 20, 40)
FRACTIONS = st.floats(0, 1)
# Among subnormal numbers the next one below is not close by, and neither is its factor.
WARMUPS = st.floats(0, 1, exclude_max=True, allow_subnormal=False)


@pytest.fixture
def encoder() -> MinBert:
    dropout = Dropout(0.0, torch.Generator())
    return MinBert(SHAPE, dropout, dropout)


@pytest.fixture
def heads() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.Linear(8, 1))


def group_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, object]:
    groups = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    assert len(groups) == 1
    return groups[0]


def test_every_parameter_is_in_exactly_one_group(encoder: MinBert, heads: nn.Module) -> None:
    optimizer = Optimization().build(encoder, heads)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in (*encoder.parameters(), *heads.parameters())}


def test_learning_rates_fall_by_layer_and_heads_have_their_own(
    encoder: MinBert, heads: nn.Module
) -> None:
    optimizer = Optimization(lr=1e-4, head_lr=1e-2, layer_decay=0.5).build(encoder, heads)
    expected = {"embeddings": 1e-4 / 8, "layers.0": 1e-4 / 4, "layers.1": 1e-4 / 2}
    expected |= {"layers.2": 1e-4, "pooler": 1e-4}
    seen = set()
    for name, parameter in encoder.named_parameters():
        part = next(part for part in expected if name.startswith(f"{part}."))
        seen.add(part)
        assert group_of(optimizer, parameter)["peak_lr"] == pytest.approx(expected[part])
    assert seen == set(expected)
    assert {group_of(optimizer, p)["peak_lr"] for p in heads.parameters()} == {1e-2}


def test_biases_and_layer_norms_do_not_decay(encoder: MinBert, heads: nn.Module) -> None:
    optimizer = Optimization(weight_decay=0.07).build(encoder, heads)
    for module in (encoder, heads):
        for name, parameter in module.named_parameters():
            is_matrix = name.endswith("weight") and "norm" not in name and parameter.ndim == 2
            expected = 0.07 if is_matrix else 0.0
            assert group_of(optimizer, parameter)["weight_decay"] == expected, name


@given(FRACTIONS, WARMUPS, st.sampled_from(["linear", "constant"]))
def test_factor_lies_between_zero_and_one(progress: float, warmup: float, schedule: str) -> None:
    optimization = Optimization.model_validate({"warmup": warmup, "schedule": schedule})
    assert 0 <= optimization.learning_rate_factor(progress) <= 1


@given(WARMUPS, st.sampled_from(["linear", "constant"]))
def test_factor_reaches_one_at_the_end_of_the_warmup_without_a_jump(
    warmup: float, schedule: str
) -> None:
    factor = Optimization.model_validate(
        {"warmup": warmup, "schedule": schedule}
    ).learning_rate_factor
    assert factor(warmup) == 1
    if warmup > 0:
        assert factor(math.nextafter(warmup, 0)) == pytest.approx(1)
        assert factor(0) == 0


@given(st.floats(0, 0.9), FRACTIONS, FRACTIONS)
def test_linear_schedule_rises_then_falls_to_zero(warmup: float, a: float, b: float) -> None:
    factor = Optimization(warmup=warmup, schedule="linear").learning_rate_factor
    assert factor(1) == 0
    early, late = sorted((a, b))
    if late <= warmup:
        assert factor(early) <= factor(late)
    if early >= warmup:
        assert factor(early) >= factor(late)
    assert factor((1 + warmup) / 2) == pytest.approx(0.5)


def test_constant_schedule_stays_at_one() -> None:
    factor = Optimization(warmup=0.1, schedule="constant").learning_rate_factor
    assert [factor(p) for p in (0.05, 0.1, 0.5, 1.0)] == [0.5, 1, 1, 1]


def adamw(w: Tensor, gradients: list[Tensor], rates: list[float], weight_decay: float) -> Tensor:
    """Loshchilov and Hutter 2019 (arXiv:1711.05101), algorithm 2, written out."""
    w, m, v = w.double(), torch.zeros(()), torch.zeros(())
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), 1):
        g = g.double()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        w = w - lr * (step + weight_decay * w)
    return w.float()


def test_a_run_takes_the_steps_of_adamw_at_the_rates_of_the_schedule(workbench: Workbench) -> None:
    optimization = Optimization(lr=1e-3, layer_decay=0.5, weight_decay=0.1, warmup=0.3)
    stage = Multitask(optimization=optimization, budget_tokens=1500, units=1)
    run = Run(RunConfig(stages=(stage,)), workbench)
    named = dict(run.model.encoder.named_parameters())
    parameters = {
        "layers.0.feed_in.weight": (named["layers.0.feed_in.weight"], 5e-4, 0.1),
        "layers.1.feed_norm.bias": (named["layers.1.feed_norm.bias"], 1e-3, 0.0),
        "embeddings.word.weight": (named["embeddings.word.weight"], 2.5e-4, 0.1),
    }
    before = {name: p.detach().clone() for name, (p, *_) in parameters.items()}
    gradients: dict[str, list[Tensor]] = {name: [] for name in parameters}
    tokens = [0]

    def watch(run: Run) -> None:
        tokens.append(run.tokens)
        for name, (parameter, *_) in parameters.items():
            assert parameter.grad is not None
            gradients[name].append(parameter.grad.clone())

    run.train_unit(watch)
    assert run.steps >= 3
    middles = [(a + b) / 2 / 1500 for a, b in pairwise(tokens)]
    factors = [optimization.learning_rate_factor(min(1.0, middle)) for middle in middles]
    for name, (parameter, peak, decay) in parameters.items():
        rates = [peak * factor for factor in factors]
        expected = adamw(before[name], gradients[name], rates, decay)
        assert (expected - before[name]).abs().max() > 1e-5
        torch.testing.assert_close(parameter.detach(), expected, atol=1e-6, rtol=1e-5)
