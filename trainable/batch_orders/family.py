"""The batch orders that a configuration can choose from, as a union.

An order with one task a step has a field of `ScalarGradients`; one with all tasks in every step has
all `Gradients`. A new order is one new file, or a class in one of these files, and its entry here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainable.batch_orders.all_tasks import LockStep, ProportionalBatches
from trainable.batch_orders.by_improvement import Stochastic
from trainable.batch_orders.by_size import Proportional
from trainable.batch_orders.in_turn import RoundRobin
from trainable.batch_orders.sequential import Sequential
from trainable.batch_orders.visits import RandomShuffleDropout, SetRoundRobin
from trainable.component import PriorWeights

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
    PriorWeights({"round_robin": 4, "proportional": 3, "lock_step": 3}),
]
