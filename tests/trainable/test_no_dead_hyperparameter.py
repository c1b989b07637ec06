"""Every hyperparameter that a search can vary changes what a run computes.

The test reads the hyperparameters from the models, so a new one is tested without being named here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spaces.walk import Param, Value, all_params, rebuild
from trainable.batch_order import LockStep
from trainable.component import Choice, Domain
from trainable.loop import Run
from trainable.optimization import Optimization
from trainable.run_config import Multitask, RunConfig
from trainable.workbench import Workbench

# Name -> why no run of two steps can show its effect.
EXEMPT = {"data": "another data source is another workbench; tests/trainable/data tests it"}

# All tasks in every step, and rates at which a few steps show.
BASE = RunConfig(
    stages=(
        Multitask(
            batch_order=LockStep(batch_size=8),
            optimization=Optimization(lr=1e-3, head_lr=1e-2),
            budget_tokens=1800,
            units=1,
        ),
    )
)
# Enough for two steps of the largest batches, and for draws that differ to be drawn.
MORE_TOKENS = 5000
PARAMS = {param.name: param for param in all_params(RunConfig())}


def with_values(values: dict[str, Value], base: RunConfig) -> RunConfig:
    """Return a config with hyperparameters set by their dotted names."""
    used: set[str] = set()

    def choose(name: str, domain: Domain, current: Value) -> Value:
        used.add(name)
        return values.get(name, current)

    config = rebuild(base, choose)
    assert used >= values.keys(), "a hyperparameter was set where it does not exist"
    return config


def values_to_try(param: Param) -> tuple[Value, ...]:
    if isinstance(param.domain, Choice):
        return param.domain.values
    return (param.domain.low, param.domain.high)


def variants(param: Param) -> list[RunConfig]:
    """Return runs that differ in one hyperparameter only, and have its parents.

    A component that is chosen gets numbers off their defaults: a weighted sum whose weights are
    all 1 is meant to be the plain sum.
    """
    is_batch_order = param.name.startswith("multitask.batch_order")
    stage = BASE.stages[0].model_copy(update={"budget_tokens": MORE_TOKENS})
    base = BASE.model_copy(update={"stages": (stage,)}) if is_batch_order else BASE
    configs = []
    for value in values_to_try(param):
        values: dict[str, Value] = {**dict(param.parents), param.name: value}
        for child in PARAMS.values():
            is_number = not isinstance(child.domain, Choice)
            if is_number and child.parents == (*param.parents, (param.name, value)):
                values[child.name] = values_to_try(child)[-1]
        configs.append(with_values(values, base))
    return configs


@pytest.fixture(scope="module")
def encoder_after(cut_workbench: Callable[..., Workbench]) -> Callable[[RunConfig], Tensor]:
    """Return a function from a RunConfig to the encoder's weights after its run, remembered.

    Only the encoder's: its weights have the same shapes in every run, and what a head does to
    the loss reaches them.
    """
    # Train sets of different sizes: sampling by size is nothing to test on equal ones.
    workbench = cut_workbench(sst=300, para=3000, sts=100)
    known: dict[RunConfig, Tensor] = {}

    def train(config: RunConfig) -> Tensor:
        if config not in known:
            run = Run(config, workbench)
            run.train_unit()
            assert run.steps >= 2
            parameters = run.model.encoder.parameters()
            known[config] = torch.cat([p.detach().flatten() for p in parameters])
        return known[config]

    return train


def test_the_hyperparameters_are_found() -> None:
    assert {
        "encoder.dropout",
        "sst.pooling",
        "sst.head.mlp.width",
        "para.pair",
        "para.pair.joint.join",
        "para.pair.siamese.features",
        "sts.pair.cosine.scaling",
        "sts.loss",
        "multitask.batch_order",
        "multitask.batch_order.proportional.annealing",
        "multitask.batch_order.lock_step.gradients",
        "multitask.batch_order.lock_step.gradients.weighted.log_para",
        "multitask.optimization.lr",
        "multitask.optimization.clip",
    } <= PARAMS.keys()
    assert len(PARAMS) >= 70
    assert EXEMPT.keys() <= PARAMS.keys()


@pytest.mark.parametrize("name", [name for name in PARAMS if name not in EXEMPT])
def test_hyperparameter_changes_the_weights(
    encoder_after: Callable[[RunConfig], Tensor], name: str
) -> None:
    values = values_to_try(PARAMS[name])
    results = [encoder_after(config) for config in variants(PARAMS[name])]
    assert len(results) >= 2
    for i, one in enumerate(results):
        for j, other in enumerate(results[:i]):
            difference = float((one - other).abs().max())
            # More than rounding: a weight moves by some 1e-3 in these runs.
            assert difference > 1e-5, f"{name}: {values[i]} and {values[j]} give the same run"
