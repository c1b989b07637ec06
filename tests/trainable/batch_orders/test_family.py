"""The contract of batch orders, over the union: a new order is tested without being named."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.batch_orders.steps import SIZES, TRAIN_SETS, of_course, take
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.by_improvement import Stochastic
from trainable.batch_orders.family import BatchOrderConfig
from trainable.tasks import TaskName

CONFIGS: tuple[Any, ...] = (
    *(of_course(model()) for model in get_args(get_args(BatchOrderConfig)[0])),
    LockStep(wrap=False),
    Stochastic(standardised=True),
)
KINDS = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)


def test_all_batch_orders_are_tested() -> None:
    assert {config.kind for config in CONFIGS} >= {
        "round_robin",
        "set_round_robin",
        "sequential",
        "random_shuffle_dropout",
        "proportional",
        "stochastic",
        "lock_step",
        "proportional_batches",
    }


@KINDS
@given(sizes=TRAIN_SETS, progress=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**31))
def test_steps_train_tasks_that_there_are(
    config: Any, sizes: dict[TaskName, int], progress: float, seed: int
) -> None:
    for step in take(config.build(sizes, seed), 30, progress):
        assert step.sizes
        assert step.sizes.keys() <= sizes.keys()
        assert step.loss_scales.keys() == step.sizes.keys()
        assert all(isinstance(n, int) and n >= 1 for n in step.sizes.values())
        assert all(0 < scale <= 1 for scale in step.loss_scales.values())


@KINDS
def test_every_task_has_its_turn(config: Any) -> None:
    sizes: dict[TaskName, int] = {"sts": 3, "para": 200, "sst": 30, "nli": 100}
    order = config.build(sizes, seed=0)
    seen = {task for k in range(1000) for step in take(order, 1, k / 1000) for task in step.sizes}
    assert seen == sizes.keys()


@KINDS
@given(before=st.integers(0, 30), sizes=TRAIN_SETS)
def test_loaded_state_goes_on_as_if_never_stopped(
    config: Any, before: int, sizes: dict[TaskName, int]
) -> None:
    order = config.build(sizes, seed=3)
    take(order, before, 0.2)
    state = json.loads(json.dumps(order.state()))
    resumed = config.build(sizes, seed=3)
    take(resumed, 5)  # a state is loaded over whatever there is
    resumed.load(state)
    assert take(resumed, 25, 0.9) == take(order, 25, 0.9)
    assert resumed.state() == order.state()


@KINDS
def test_equal_seeds_give_equal_orders(config: Any) -> None:
    assert take(config.build(SIZES, 1), 100) == take(config.build(SIZES, 1), 100)


@KINDS
def test_gradients_that_are_offered_fit_the_order(config: Any) -> None:
    """One task a step has nothing to project, so it offers no surgery."""
    together = len(config.build(SIZES, 0).next(0.0).sizes) > 1
    field = type(config).model_fields["gradients"]
    offered = {model.model_fields["kind"].default for model in get_args(field.annotation)}
    assert "plain" in offered
    assert ("pcgrad" in offered) == together


@pytest.mark.parametrize(
    "config",
    [config for config in CONFIGS if "batch_size" in type(config).model_fields],
    ids=lambda config: config.kind,
)
def test_batches_have_the_size_asked_for(config: Any) -> None:
    order = config.model_copy(update={"batch_size": 5}).build(SIZES, seed=0)
    assert {n for step in take(order, 50) for n in step.sizes.values()} == {5}


@KINDS
def test_orders_go_pass_by_pass_unless_asked(config: Any) -> None:
    assert not config.build(SIZES, 0).with_replacement
