"""Batch orders: which tasks give a batch at each step, and of what size.

Orders with one task a step offer the gradient combinations that scale, orders with all tasks in
every step offer surgery too. What an order does at run time is in `orders` and `task_sampling`.
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
