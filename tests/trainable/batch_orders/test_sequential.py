from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.batch_orders.steps import SIZES, TRAIN_SETS, take, tasks_of
from trainable.batch_orders.sequential import Sequential
from trainable.tasks import TaskName


@given(TRAIN_SETS, st.integers(50, 400))
def test_sequential_phases_are_shares_of_the_budget(
    sizes: dict[TaskName, int], n_steps: int
) -> None:
    order = Sequential().build(sizes, 0)
    tasks = [next(iter(order.next(k / n_steps).sizes)) for k in range(n_steps)]
    phases = [task for task, _ in groupby(tasks)]
    assert phases == [task for task in sizes if task in phases]  # one phase each, in turn
    for task, size in sizes.items():
        assert abs(tasks.count(task) - n_steps * size / sum(sizes.values())) <= 1


def test_sequential_order_depends_on_progress_only() -> None:
    fresh, used = Sequential().build(SIZES, 0), Sequential().build(SIZES, 0)
    take(used, 100, 0.99)
    assert tasks_of(take(used, 1, 0.0)) == tasks_of(take(fresh, 1, 0.0)) == ["sst"]


def test_a_phase_ends_exactly_where_its_share_does() -> None:
    order = Sequential().build({"sst": 1, "para": 1, "sts": 2}, 0)
    found = [next(iter(order.next(progress).sizes)) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert found == ["sst", "para", "sts", "sts"]
