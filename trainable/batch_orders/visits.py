"""Orders that train on one whole train set before they go on to the next.

A visit is one pass through (a part of) the train set of one task; an epoch is a sequence of visits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Choice, Component, FloatRange, Needs, PerTask
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.seeds import derive
from trainable.tasks import NLI, TaskName

Probability = Annotated[float, Field(ge=0.01, le=1)]


class SetRoundRobin(Component):
    """One task a step: in each epoch the whole train set of each task in turn.

    Source: "Finetuning a multitask BERT for downstream tasks", sections 4.1 and 5.3, with 1,000
    random batches of the largest train set an epoch. Deviation: a visit goes on in the shuffled
    train set where the last visit ended, so that no example comes again before all have come.

    Attributes:
        batch_size: Examples of a step.
        cap: Largest number of batches of the task with the largest train set, and of nli, in an
            epoch; 0 for no limit.
        gradients: Scaling of the one gradient of a step.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["set_round_robin"] = "set_round_robin"
    batch_size: BatchSize = 16
    cap: Annotated[int, Field(ge=0, le=1_000_000), Choice((0, 250, 500, 1000, 2000))] = 1000
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        limit = self.cap * self.batch_size
        largest = max((size for task, size in sizes.items() if task != NLI), default=0)
        examples = {
            task: min(size, limit) if limit and (task == NLI or size == largest) else size
            for task, size in sizes.items()
        }
        tasks = tuple(sizes)
        return Visits(examples, self.batch_size, lambda epoch: tasks)


class RandomShuffleDropout(Component):
    """One task a step: in each epoch the train sets of tasks drawn at random, in random order.

    Source: "MT-BERT", section 4, "Multi-task Fine-tuning", and its probabilities. Deviation: an
    epoch in which no task is drawn is drawn again.

    Attributes:
        batch_size: Examples of a step.
        p: Task -> probability that an epoch trains it. NLI has that of the task that it helps. The
            defaults are those of the paper's tasks, for tasks of their kind.
        gradients: Scaling of the one gradient of a step.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["random_shuffle_dropout"] = "random_shuffle_dropout"
    batch_size: BatchSize = 16
    p: Annotated[
        dict[TaskName, Probability],
        PerTask(
            FloatRange(0.1, 1.0),
            prefix="p_",
            default=1 / 2,
            by_kind={"pair_decision": 1 / 3, "pair_number": 9 / 10},
        ),
    ] = Field(default_factory=dict)
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        probabilities = {task: self.p[task] for task in sizes}
        return Visits(dict(sizes), self.batch_size, partial(drawn_visits, probabilities, seed))


class Visits(BatchOrder):
    """One task a step; an epoch visits the train sets of its tasks one after the other.

    Args:
        examples: Task -> number of examples of one visit. The last batch of a visit is smaller, so
            that a visit of N examples is one pass through a set of N.
        batch_size: Examples of a step.
        plan: From the number of an epoch to the tasks that it visits, at least one.
    """

    def __init__(
        self,
        examples: dict[TaskName, int],
        batch_size: int,
        plan: Callable[[int], tuple[TaskName, ...]],
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
    probabilities: dict[TaskName, float], seed: int, epoch: int
) -> tuple[TaskName, ...]:
    """Draw the tasks of an epoch: each with its probability, in a random order.

    A draw without any task is repeated.

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
