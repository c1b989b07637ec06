"""Sequential: all of the training on one task, then all on the next."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar, Literal

from trainable.batch_orders.base import BatchOrder, BatchSize, Step, unscaled
from trainable.component import Component, Needs
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TaskName


class Sequential(Component):
    """One task a step: all batches of one task, then all of the next.

    Source: "BERT Goes to College", section 3.6, note 2. Deviation: a task's phase is a share of
    the budget, in proportion to its train set, so that a trial that is cut early ran the same order
    as one that was not. Since budgets are tokens, tasks with long examples make fewer passes.

    Attributes:
        batch_size: Examples of a step.
        gradients: Scaling of the one gradient of a step.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["sequential"] = "sequential"
    batch_size: BatchSize = 16
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return Phases(sizes, self.batch_size)


class Phases(BatchOrder):
    """One task a step: one task until its share of the budget is spent, then the next.

    Args:
        sizes: Task -> number of training examples; the tasks train in this order.
        batch_size: Examples of a step.
    """

    def __init__(self, sizes: dict[TaskName, int], batch_size: int) -> None:
        self.tasks = tuple(sizes)
        self.ends = [end / sum(sizes.values()) for end in accumulate(sizes.values())]
        self.batch_size = batch_size

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        phase = min(bisect_right(self.ends, progress), len(self.tasks) - 1)
        return unscaled({self.tasks[phase]: self.batch_size})
