"""Train sets, and steps of batch orders, for their tests."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st

from tests.course import TRAIN_NAMES
from trainable.batch_orders.base import BatchOrder, Step
from trainable.task_fields import M, fill_in, with_nli
from trainable.tasks import COURSE, TaskName

SIZES: dict[TaskName, int] = {"sst": 8544, "para": 141506, "sts": 6040}
TRAIN_SETS = st.dictionaries(
    st.sampled_from(TRAIN_NAMES), st.integers(1, 200), min_size=1, max_size=4
)


def of_course(config: M) -> M:
    """Return an order's configuration as a run of the papers' tasks and NLI has it."""
    return with_nli(fill_in(config, COURSE), COURSE)


def take(order: BatchOrder, n: int, progress: float = 0.0) -> list[Step]:
    """Take n steps as a run does, with losses that depend on the step alone."""
    steps = []
    for _ in range(n):
        steps.append(order.next(progress))
        if order.needs_losses:
            order.observe({t: math.sin(len(steps) * len(t)) for t in steps[-1].sizes})
    return steps


def tasks_of(steps: list[Step]) -> list[TaskName]:
    assert all(len(step.sizes) == 1 for step in steps)
    return [next(iter(step.sizes)) for step in steps]


def batches(n_examples: int, batch_size: int) -> list[int]:
    """What a loader without a cap gives in a pass: full batches and a rest."""
    return [len(part) for part in torch.arange(n_examples).split(batch_size)]
