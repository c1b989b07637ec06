from __future__ import annotations

from tests.trainable.batch_orders.steps import SIZES, take, tasks_of
from trainable.batch_orders.in_turn import RoundRobin


def test_round_robin_takes_turns() -> None:
    tasks = tasks_of(take(RoundRobin().build(SIZES, 0), 7))
    assert tasks == ["sst", "para", "sts", "sst", "para", "sts", "sst"]
