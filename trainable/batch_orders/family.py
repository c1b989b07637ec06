"""Batch orders: which tasks give a batch at each step, and of what size.

Orders with one task a step offer the gradient combinations that scale, orders with all tasks in
every step offer surgery too. What an order does at run time is in `orders` and `task_sampling`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from trainable.batch_orders.base import (
    AllTasks,
    BatchOrder,
    ParallelPasses,
    Phases,
    Step,
    TurnTaking,
    Visits,
    drawn_visits,
    unscaled,
)
from trainable.batch_orders.by_improvement import ImprovementSampling, SizeSampling
from trainable.component import Choice, Component, FloatRange
from trainable.gradients.family import Gradients, PlainGradients, ScalarGradients
from trainable.tasks import TrainName

BATCH_SIZES = (4, 8, 16, 32, 64)  # what a search tries
BatchSize = Annotated[int, Field(ge=1, le=4096), Choice(BATCH_SIZES)]
Probability = Annotated[float, Field(ge=0.01, le=1), FloatRange(0.1, 1.0)]


class RoundRobin(Component):
    """One task a step, in turn; small train sets start again.

    Attributes:
        batch_size: Examples of a step.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["round_robin"] = "round_robin"
    batch_size: BatchSize = 16
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return TurnTaking(tuple(sizes), self.batch_size)


class SetRoundRobin(Component):
    """One task a step: in each epoch the whole train set of each task in turn.

    Source: "Finetuning a multitask BERT for downstream tasks", sections 4.1 and 5.3, with 1,000
    random batches of para an epoch. Deviation: they go on in the shuffled train set where those of
    the epoch before ended, so that no example comes again before all have come.

    Attributes:
        batch_size: Examples of a step.
        cap: Most batches of para, and of nli, in an epoch; 0 for no limit.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["set_round_robin"] = "set_round_robin"
    batch_size: BatchSize = 16
    cap: Annotated[int, Field(ge=0, le=1_000_000), Choice((0, 250, 500, 1000, 2000))] = 1000
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        limit = self.cap * self.batch_size
        examples = {
            task: min(size, limit) if limit and task in ("para", "nli") else size
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
        p_sst: Probability that an epoch trains sst.
        p_para: Of para.
        p_sts: Of sts, and of nli.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["random_shuffle_dropout"] = "random_shuffle_dropout"
    batch_size: BatchSize = 16
    p_sst: Probability = 1 / 2
    p_para: Probability = 1 / 3
    p_sts: Probability = 9 / 10
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        known: dict[TrainName, float]
        known = {"sst": self.p_sst, "para": self.p_para, "sts": self.p_sts, "nli": self.p_sts}
        probabilities = {task: known[task] for task in sizes}
        return Visits(dict(sizes), self.batch_size, partial(drawn_visits, probabilities, seed))


class Sequential(Component):
    """One task a step: all batches of one task, then all of the next.

    Source: "BERT Goes to College", section 3.6, note 2. Deviation: a task's phase is a share of
    the budget, in proportion to its train set, so that a trial that is cut early ran the same order
    as one that was not. Since budgets are tokens, tasks with long examples make fewer passes.

    Attributes:
        batch_size: Examples of a step.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["sequential"] = "sequential"
    batch_size: BatchSize = 16
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return Phases(sizes, self.batch_size)


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

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return SizeSampling(sizes, self.batch_size, self.alpha, self.annealing, seed)


class Stochastic(Component):
    """One task a step, drawn from the softmax of the tasks' last loss improvements.

    Source: "BERT Goes to College", section 3.6, equations 4, 5 and 7. Deviations: an improvement
    is between two batches of the task itself, since the losses of tasks that do not train are not
    computed; it fades while the task waits, so that none waits for ever; and it can be
    standardised, since a squared error outweighs a cross entropy by its scale.

    Attributes:
        batch_size: Examples of a step.
        standardised: Whether improvements are divided by their usual size; as published, no.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["stochastic"] = "stochastic"
    batch_size: BatchSize = 16
    standardised: Annotated[bool, Choice((False, True))] = False
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return ImprovementSampling(tuple(sizes), self.batch_size, self.standardised, seed)


class LockStep(Component):
    """A batch of every task at every step; small train sets wrap around.

    Source: "cycled training" of "BERT++", GS_w of "Leave It To BERT", the "additive" training of
    "BERT Goes to College"; with replacement, the gradient surgery of "MT-BERT".

    Attributes:
        batch_size: Examples of each task in a step.
        wrap: Whether a small train set begins again at once; if not, its task sits out until the
            largest set ends.
        replacement: Whether examples are drawn with replacement instead of pass by pass.
        gradients: How the tasks' gradients become one.
    """

    kind: Literal["lock_step"] = "lock_step"
    batch_size: BatchSize = 16
    wrap: Annotated[bool, Choice((True, False))] = True
    replacement: Annotated[bool, Choice((False, True))] = False
    gradients: Gradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        if not self.wrap:
            return ParallelPasses(sizes, self.batch_size, self.replacement)
        return AllTasks(unscaled(dict.fromkeys(sizes, self.batch_size)), self.replacement)


class ProportionalBatches(Component):
    """A batch of every task at every step, in proportion to its train set.

    Source: "Leave It To BERT", GS_bd, equations 6 and 7: batches of 1, 24 and 1 for sst, para and
    sts, and each loss times (smallest batch) / (its batch). It says that this weighs the tasks
    equally, which holds for losses that are sums over a batch; ours are means, which are equal as
    they are. So the factor is optional.

    Attributes:
        largest: Examples of the task with the largest train set in a step.
        smallest: Fewest examples of any task in a step.
        rescaled: Whether the losses are rescaled by equation 7.
        gradients: How the tasks' gradients become one.
    """

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

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        share = self.largest / max(sizes.values())
        batch = {task: max(self.smallest, round(share * size)) for task, size in sizes.items()}
        least = min(batch.values())
        return AllTasks(
            Step(batch, {task: least / n if self.rescaled else 1.0 for task, n in batch.items()})
        )


BatchOrderConfig = Annotated[
    RoundRobin
    | SetRoundRobin
    | Sequential
    | RandomShuffleDropout
    | Proportional
    | Stochastic
    | LockStep
    | ProportionalBatches,
    Field(discriminator="kind"),
]
