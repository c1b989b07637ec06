"""What a batch order is at run time: which tasks give a batch at the next step, of what size.

Their components, with the hyperparameters and the search ranges, are in `batch_order`; the orders
that draw a task at each step are in `task_sampling`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch

from trainable.seeds import derive
from trainable.tasks import TrainName

State = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What one optimizer step trains on.

    Attributes:
        sizes: Task -> number of examples, at least 1.
        loss_scales: Task -> factor of its loss, for the same tasks.
    """

    sizes: dict[TrainName, int]
    loss_scales: dict[TrainName, float]


class BatchOrder(Protocol):
    """What the loop needs of a batch order; what most of them do not need has a default.

    Attributes:
        with_replacement: Whether examples are drawn with replacement instead of pass by pass.
        needs_losses: Whether `observe` must be called, which waits for the device.
    """

    with_replacement: bool = False
    needs_losses: bool = False

    def next(self, progress: float) -> Step:
        """Return the next step, given progress in [0, 1) of the full budget."""

    def observe(self, losses: Mapping[TrainName, float]) -> None:
        """Take note of the step's mean loss of each of its tasks, after the step."""
        return  # most orders do not look at losses

    def state(self) -> State:
        """Return what `load` needs to go on from here, as plain JSON values."""
        return {}

    def load(self, state: State) -> None:
        """Go on from the saved state of an order that was built alike."""
        return  # an order that is the same at every step has none


def unscaled(sizes: dict[TrainName, int]) -> Step:
    """Return a step that leaves the losses as they are."""
    return Step(sizes, dict.fromkeys(sizes, 1.0))


class TurnTaking(BatchOrder):
    """One task a step, in turn."""

    def __init__(self, tasks: tuple[TrainName, ...], batch_size: int) -> None:
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


class Visits(BatchOrder):
    """One task a step, many steps on end: epochs of visits to one task's train set after the other.

    Args:
        examples: Task -> number of examples of one visit. The last batch of a visit is smaller, so
            that a visit of N examples is one pass through a set of N.
        batch_size: Examples of a step.
        plan: From the number of an epoch to the tasks that it visits, at least one.
    """

    def __init__(
        self,
        examples: dict[TrainName, int],
        batch_size: int,
        plan: Callable[[int], tuple[TrainName, ...]],
    ) -> None:
        self.examples = examples
        self.batch_size = batch_size
        self.plan = plan
        self._start(epoch=0, visit=0, taken=0)

    def _start(self, epoch: int, visit: int, taken: int) -> None:
        self.epoch, self.visit, self.taken = epoch, visit, taken
        self.visits = self.plan(epoch)

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        task = self.visits[self.visit]
        size = min(self.batch_size, self.examples[task] - self.taken)
        self.taken += size
        if self.taken == self.examples[task]:
            self.visit, self.taken = self.visit + 1, 0
            if self.visit == len(self.visits):
                self._start(self.epoch + 1, visit=0, taken=0)
        return unscaled({task: size})

    def state(self) -> State:
        """See `BatchOrder`."""
        return {"epoch": self.epoch, "visit": self.visit, "taken": self.taken}

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self._start(int(state["epoch"]), int(state["visit"]), int(state["taken"]))


def drawn_visits(
    probabilities: dict[TrainName, float], seed: int, epoch: int
) -> tuple[TrainName, ...]:
    """Draw the tasks of an epoch: each with its probability, in a random order.

    An epoch without a task is drawn again.

    Args:
        probabilities: Task -> a number in (0, 1].
        seed: Seed of all epochs.
        epoch: Number of the epoch.
    """
    generator = torch.Generator().manual_seed(derive(seed, epoch))
    tasks = tuple(probabilities)
    while True:
        order = torch.randperm(len(tasks), generator=generator).tolist()
        draws = torch.rand(len(tasks), generator=generator, dtype=torch.float64).tolist()
        visits = tuple(tasks[i] for i in order if draws[i] < probabilities[tasks[i]])
        if visits:
            return visits


class Phases(BatchOrder):
    """One task a step: one task until its share of the budget is spent, then the next."""

    def __init__(self, sizes: dict[TrainName, int], batch_size: int) -> None:
        self.tasks = tuple(sizes)
        self.ends = [end / sum(sizes.values()) for end in accumulate(sizes.values())]
        self.batch_size = batch_size

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        phase = min(bisect_right(self.ends, progress), len(self.tasks) - 1)
        return unscaled({self.tasks[phase]: self.batch_size})


class ParallelPasses(BatchOrder):
    """A batch of every task of which the epoch has not had all examples; the largest set ends it.

    Args:
        sizes: Task -> number of training examples.
        batch_size: Examples of a task in a step; the last of its epoch may be fewer.
        with_replacement: See `BatchOrder`.
    """

    def __init__(
        self, sizes: dict[TrainName, int], batch_size: int, with_replacement: bool
    ) -> None:
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
    """A batch of every task at every step."""

    def __init__(self, step: Step, with_replacement: bool = False) -> None:
        self.step = step
        self.with_replacement = with_replacement

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        return self.step
