from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.course import TASK_NAMES, TRAIN_NAMES
from trainable.gradients.base import Losses
from trainable.gradients.loss_weights import FixedFactors, PlainGradients, WeightedGradients
from trainable.task_fields import with_nli
from trainable.tasks import COURSE, TaskName

TASKS_OF_A_RUN = st.sampled_from(
    [names for n in range(1, 5) for names in itertools.combinations(TRAIN_NAMES, n)]
)


def test_fixed_factors_are_the_derivatives_of_the_total() -> None:
    weighting = FixedFactors({"sst": 0.5, "para": 2.0, "nli": 3.0})
    losses: Losses = {"nli": torch.tensor(10.0), "sst": torch.tensor(4.0)}
    assert weighting.total(losses) == 32


def factors(config: Any, tasks: tuple[TaskName, ...]) -> dict[TaskName, float]:
    """Return the factor of each task's loss."""
    weighting = config.build(tasks)
    return {task: float(weighting.total({task: torch.tensor(1.0)})) for task in tasks}


@given(TASKS_OF_A_RUN)
def test_plain_gradients_weigh_all_losses_alike(tasks: tuple[TaskName, ...]) -> None:
    assert set(factors(PlainGradients(), tasks).values()) == {1.0}


@given(st.floats(-10, 10), st.floats(-10, 10), TASKS_OF_A_RUN)
def test_weighted_gradients_have_the_stated_ratios_and_sum_to_the_number_of_tasks(
    log_para: float, log_sts: float, tasks: tuple[TaskName, ...]
) -> None:
    weighted = WeightedGradients(log={"para": log_para, "sts": log_sts})
    found = factors(with_nli(weighted, COURSE), tasks)
    assert sum(found.values()) == pytest.approx(len(tasks))
    logs = {"sst": 0.0, "para": log_para, "sts": log_sts, "nli": log_sts}
    for one, other in itertools.combinations(tasks, 2):
        ratio = math.log(found[one] / found[other])
        assert ratio == pytest.approx(logs[one] - logs[other], abs=1e-4)


def test_a_task_has_its_own_weight_whichever_tasks_are_in_the_step() -> None:
    weighting = WeightedGradients(log={"para": 1.0, "sts": -1.0}).build(TASK_NAMES)
    losses = {task: torch.tensor(2.0) for task in TASK_NAMES}
    apart = sum(weighting.total({task: loss}) for task, loss in losses.items())
    torch.testing.assert_close(weighting.total(losses), apart)
