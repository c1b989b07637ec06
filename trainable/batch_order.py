"""Batch orders: which tasks give a batch at each step, and of what size."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import Field

from trainable.component import Choice, Component, FloatRange
from trainable.gradients import Gradients, PlainGradients, ScalarGradients
from trainable.tasks import TaskName

BatchSize = Annotated[int, Field(ge=1, le=4096), Choice((8, 16, 32))]
State = dict[str, Any]


class BatchOrder(Protocol):
    """What the loop needs of a batch order. `state` and `load` are plain JSON values."""

    def next(self, progress: float) -> dict[TaskName, int]:
        """Return task -> number of examples of the next step, given progress in [0, 1)."""

    def state(self) -> State:
        """Return what `load` needs to go on from here."""

    def load(self, state: State) -> None:
        """Go on from a saved state."""


class TurnTaking:
    """One task a step, in turn."""

    def __init__(self, tasks: tuple[TaskName, ...], batch_size: int) -> None:
        self.tasks = tasks
        self.batch_size = batch_size
        self.step = 0

    def next(self, progress: float) -> dict[TaskName, int]:
        """See `BatchOrder`."""
        task = self.tasks[self.step % len(self.tasks)]
        self.step += 1
        return {task: self.batch_size}

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"step": self.step}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.step = int(state["step"])


class SizeSampling:
    """One task a step, drawn with probability proportional to (train set size) ** alpha.

    Args:
        sizes: Task -> number of training examples.
        batch_size: Examples a step.
        alpha: Exponent at the start.
        annealing: How much of alpha is gone at the end.
        seed: Seed of the draws.
    """

    def __init__(
        self, sizes: dict[TaskName, int], batch_size: int, alpha: float, annealing: float, seed: int
    ) -> None:
        self.tasks = tuple(sizes)
        self.sizes = torch.tensor(list(sizes.values()), dtype=torch.float64)
        self.batch_size = batch_size
        self.alpha, self.annealing = alpha, annealing
        self.generator = torch.Generator().manual_seed(seed)

    def probabilities(self, progress: float) -> torch.Tensor:
        """Return (n_tasks,) float64 that sum to 1."""
        weights = self.sizes ** (self.alpha - self.annealing * progress)
        return weights / weights.sum()

    def next(self, progress: float) -> dict[TaskName, int]:
        """See `BatchOrder`."""
        drawn = torch.multinomial(self.probabilities(progress), 1, generator=self.generator)
        return {self.tasks[int(drawn)]: self.batch_size}

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"generator": self.generator.get_state().tolist()}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))


class AllTasks:
    """A batch of every task at every step."""

    def __init__(self, tasks: tuple[TaskName, ...], batch_size: int) -> None:
        self.batch = dict.fromkeys(tasks, batch_size)

    def next(self, progress: float) -> dict[TaskName, int]:
        """See `BatchOrder`."""
        return self.batch

    def state(self) -> State:
        """See `BatchOrder`."""
        return {}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""


class RoundRobin(Component):
    """One task a step, in turn; small train sets start again.

    Attributes:
        batch_size: Examples of a step.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["round_robin"] = "round_robin"
    batch_size: BatchSize = 16
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return TurnTaking(tuple(sizes), self.batch_size)


class Proportional(Component):
    """One task a step, drawn with P proportional to N ** (alpha - annealing * progress).

    Source: Stickland and Murray 2019 (arXiv:1902.02671), section 4.1: alpha = 1 - 0.8 (e - 1) /
    (E - 1) by epoch. Deviation: by fraction of the full budget, and both numbers are free, so a
    trial that is cut early ran the same order as one that was not.

    Attributes:
        batch_size: Examples of a step.
        alpha: 1 is proportional, 0.5 square root, 0 uniform.
        annealing: Taken off alpha in the course of the run.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["proportional"] = "proportional"
    batch_size: BatchSize = 16
    alpha: Annotated[float, Field(ge=0, le=2), FloatRange(0.2, 1.0)] = 1.0
    annealing: Annotated[float, Field(ge=0, le=2), FloatRange(0.0, 0.8)] = 0.8
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return SizeSampling(sizes, self.batch_size, self.alpha, self.annealing, seed)


class LockStep(Component):
    """A batch of every task at every step; small train sets wrap around.

    Attributes:
        batch_size: Examples of each task in a step.
        gradients: How the tasks' gradients become one.
    """

    kind: Literal["lock_step"] = "lock_step"
    batch_size: BatchSize = 16
    gradients: Gradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return AllTasks(tuple(sizes), self.batch_size)


BatchOrderConfig = Annotated[RoundRobin | Proportional | LockStep, Field(discriminator="kind")]
