from __future__ import annotations

import pytest

from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.visits import RandomShuffleDropout
from trainable.gradients.loss_weights import WeightedGradients
from trainable.stages.multitask import Multitask
from trainable.task_fields import fill_in, subset, with_nli
from trainable.tasks import COURSE, Task, table

PAIR = table(Task(name="a", classes=("x", "y")), Task(name="b", is_pair=True, high=5))


def test_what_is_missing_has_the_default_of_the_kind_of_task() -> None:
    order = fill_in(RandomShuffleDropout(p={"para": 0.25}), COURSE)
    assert order.p == {"sst": 1 / 2, "para": 0.25, "sts": 9 / 10}
    assert fill_in(RandomShuffleDropout(), PAIR).p == {"a": 1 / 2, "b": 9 / 10}


def test_fields_at_any_depth_are_filled_in_and_the_first_task_has_no_ratio() -> None:
    order = LockStep(gradients=WeightedGradients(log={"sts": 1.0}))
    stage = fill_in(Multitask(batch_order=order), COURSE)
    assert stage.tasks == "sst+para+sts"
    assert stage.optimization.task_lr == dict.fromkeys(COURSE, 1.0)
    assert stage.batch_order.gradients == WeightedGradients(log={"para": 0.0, "sts": 1.0})
    assert fill_in(stage, COURSE) == stage


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Multitask(tasks="sst+stz"), "tasks is 'sst[+]stz': 'stz' is no task.*did you mean 'sts'"),
        (Multitask(tasks="sst+sst"), "name each task once"),
        (
            Multitask(batch_order=LockStep(gradients=WeightedGradients(log={"sst": 1.0}))),
            "log: 'sst' is the first task, to whose weight the others are relative",
        ),
    ],
)
def test_tasks_that_are_not_there_are_refused(stage: Multitask, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fill_in(stage, COURSE)


def test_a_set_of_tasks_is_in_the_order_of_the_table() -> None:
    assert subset("sts+sst", COURSE, "x") == "sst+sts"
    assert subset("all", PAIR, "x") == "a+b"


def test_inference_has_the_numbers_of_the_task_that_it_helps() -> None:
    stage = fill_in(Multitask(batch_order=RandomShuffleDropout(p={"sts": 0.7})), COURSE)
    found = with_nli(stage, COURSE)
    assert found.batch_order.p == {"sst": 1 / 2, "para": 1 / 3, "sts": 0.7, "nli": 0.7}
    assert found.optimization.task_lr["nli"] == 1.0
    alone = table(Task(name="a", classes=("x", "y")))
    assert with_nli(fill_in(Multitask(), alone), alone).optimization.task_lr == {"a": 1.0}
