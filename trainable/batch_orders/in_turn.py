"""Round robin: one task a step, and the tasks take turns."""

from __future__ import annotations

from typing import Literal

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Component
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TaskName


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


class TurnTaking(BatchOrder):
    """One task a step, in turn.

    Args:
        tasks: In the order of their turns.
        batch_size: Examples of a step.
    """

    def __init__(self, tasks: tuple[TaskName, ...], batch_size: int) -> None:
        self.tasks = tasks
        self.batch_size = batch_size
        self.step = 0

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        task = self.tasks[self.step % len(self.tasks)]
        self.step += 1
        return unscaled({task: self.batch_size})

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"step": self.step}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.step = int(state["step"])
