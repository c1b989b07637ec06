"""Proportional sampling: one task a step, drawn by the size of its train set."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Component, FloatRange, Needs
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TaskName


class Proportional(Component):
    """One task a step, drawn with P proportional to N ** (alpha - annealing * progress).

    Source: Stickland and Murray 2019 (arXiv:1902.02671), section 4.1: alpha = 1 - 0.8 (e - 1) /
    (E - 1) by epoch. Deviation: by fraction of the full budget, and both numbers are free, so a
    trial that is cut early ran the same order as one that was not.

    Attributes:
        batch_size: Examples of a step.
        alpha: 1 is proportional, 0.5 square root, 0 uniform.
        annealing: What alpha loses in the course of the run.
        gradients: Scaling of the one gradient of a step.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["proportional"] = "proportional"
    batch_size: BatchSize = 16
    alpha: Annotated[float, Field(ge=0, le=2), FloatRange(0.2, 1.0)] = 1.0
    annealing: Annotated[float, Field(ge=0, le=2), FloatRange(0.0, 0.8)] = 0.8
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return SizeSampling(sizes, self.batch_size, self.alpha, self.annealing, seed)


class SizeSampling(BatchOrder):
    """One task a step, drawn with probability proportional to (train set size) ** alpha.

    Args:
        sizes: Task -> number of training examples.
        batch_size: Examples of a step.
        alpha: Exponent at the start.
        annealing: How much lower the exponent is at the end.
        seed: Seed of the draws.
    """

    def __init__(
        self,
        sizes: dict[TaskName, int],
        batch_size: int,
        alpha: float,
        annealing: float,
        seed: int,
    ) -> None:
        self.tasks = tuple(sizes)
        self.sizes = torch.tensor(list(sizes.values()), dtype=torch.float64)
        self.batch_size = batch_size
        self.alpha, self.annealing = alpha, annealing
        self.generator = torch.Generator().manual_seed(seed)

    def probabilities(self, progress: float) -> Tensor:
        """Return the probability of each task, (n_tasks,) float64, at this share of the budget."""
        weights = self.sizes ** (self.alpha - self.annealing * progress)
        return weights / weights.sum()

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        drawn = torch.multinomial(self.probabilities(progress), 1, generator=self.generator)
        return unscaled({self.tasks[int(drawn)]: self.batch_size})

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"generator": self.generator.get_state().tolist()}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))
