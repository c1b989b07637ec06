"""Batch orders with a batch of every task at each step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Choice, Component, Needs
from trainable.gradients.family import Gradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TaskName


class LockStep(Component):
    """A batch of every task at every step; small train sets wrap around.

    Source: "cycled training" of "BERT++", GS_w of "Leave It To BERT", the "additive" training of
    "BERT Goes to College"; with replacement, the gradient surgery of "MT-BERT".

    Attributes:
        batch_size: Examples of each task in a step.
        wrap: Whether a small train set begins again at once. If not, its task has no batches until
            the largest set ends.
        replacement: Whether examples are drawn with replacement instead of pass by pass.
        gradients: How the tasks' gradients become one.
    """

    kind: Literal["lock_step"] = "lock_step"
    batch_size: BatchSize = 16
    wrap: Annotated[bool, Choice((True, False))] = True
    replacement: Annotated[bool, Choice((False, True))] = False
    gradients: Gradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        if not self.wrap:
            return ParallelPasses(sizes, self.batch_size, self.replacement)
        return AllTasks(unscaled(dict.fromkeys(sizes, self.batch_size)), self.replacement)


class ProportionalBatches(Component):
    """A batch of every task at every step, in proportion to its train set.

    Source: "Leave It To BERT", GS_bd, equations 6 and 7: batches of 1, 24 and 1 for its three
    tasks, and each loss times (smallest batch) / (its batch). The paper says that this weighs the
    tasks equally. That holds for losses that are sums over a batch; ours are means and weigh the
    tasks equally without it. So the factor is optional.

    Attributes:
        largest: Examples of the task with the largest train set in a step.
        smallest: Fewest examples of any task in a step.
        rescaled: Whether the losses are rescaled by equation 7.
        gradients: How the tasks' gradients become one.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["proportional_batches"] = "proportional_batches"
    largest: Annotated[int, Field(ge=1, le=4096), Choice((16, 24, 32, 64))] = 24
    smallest: Annotated[int, Field(ge=1, le=4096), Choice((1, 2, 4, 8))] = 1
    rescaled: Annotated[bool, Choice((False, True))] = True
    gradients: Gradients = PlainGradients()

    @model_validator(mode="after")
    def _check_sizes(self) -> ProportionalBatches:
        if self.smallest > self.largest:
            raise ValueError(
                f"smallest is {self.smallest} and largest is {self.largest}; give a smallest "
                f"batch that is not larger than the largest"
            )
        return self

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        share = self.largest / max(sizes.values())
        batch = {task: max(self.smallest, round(share * size)) for task, size in sizes.items()}
        least = min(batch.values())
        return AllTasks(
            Step(batch, {task: least / n if self.rescaled else 1.0 for task, n in batch.items()})
        )


class ParallelPasses(BatchOrder):
    """A batch of every task whose train set the epoch has not finished yet.

    The largest train set ends the epoch.

    Args:
        sizes: Task -> number of training examples.
        batch_size: Examples of a task in a step; the last of its epoch may be fewer.
        with_replacement: See `BatchOrder`.
    """

    def __init__(self, sizes: dict[TaskName, int], batch_size: int, with_replacement: bool) -> None:
        self.sizes = sizes
        self.batch_size = batch_size
        self.with_replacement = with_replacement
        self.taken = 0

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        left = {task: size - self.taken for task, size in self.sizes.items()}
        self.taken += self.batch_size
        if self.taken >= max(self.sizes.values()):
            self.taken = 0
        return unscaled({task: min(self.batch_size, n) for task, n in left.items() if n > 0})

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"taken": self.taken}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.taken = int(state["taken"])


class AllTasks(BatchOrder):
    """The same batch sizes at every step.

    Args:
        step: Every step of the run.
        with_replacement: See `BatchOrder`.
    """

    def __init__(self, step: Step, with_replacement: bool = False) -> None:
        self.step = step
        self.with_replacement = with_replacement

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        return self.step
