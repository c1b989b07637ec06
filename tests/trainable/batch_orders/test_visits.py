from __future__ import annotations

import math
from collections import Counter
from itertools import groupby, pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.batch_orders.steps import SIZES, TRAIN_SETS, batches, of_course, take, tasks_of
from trainable.batch_orders.base import Step
from trainable.batch_orders.visits import RandomShuffleDropout, SetRoundRobin
from trainable.component import Choice
from trainable.seeds import ExampleOrder
from trainable.tasks import TaskName


def epoch_by_hand(sizes: dict[TaskName, int], batch_size: int, cap: int) -> list[Step]:
    steps = []
    for task, size in sizes.items():
        own = batches(size, batch_size)
        largest = max((n for name, n in sizes.items() if name != "nli"), default=0)
        if cap and (task == "nli" or size == largest):
            own = own[:cap]
        steps += [Step({task: n}, {task: 1.0}) for n in own]
    return steps


@given(TRAIN_SETS, st.integers(1, 9), st.integers(0, 9))
def test_set_round_robin_trains_whole_sets_in_turn(
    sizes: dict[TaskName, int], batch_size: int, cap: int
) -> None:
    epoch = epoch_by_hand(sizes, batch_size, cap)
    order = SetRoundRobin(batch_size=batch_size, cap=cap).build(sizes, 0)
    assert take(order, 3 * len(epoch)) == 3 * epoch


def test_published_epoch_has_1068_batches_of_sst_and_1000_of_para() -> None:
    order = SetRoundRobin(batch_size=8, cap=1000).build(SIZES, 0)
    epoch = tasks_of(take(order, 1068 + 1000 + 755))
    runs = [(task, len(list(group))) for task, group in groupby(epoch)]
    assert runs == [("sst", 1068), ("para", 1000), ("sts", 755)]
    assert order.next(0.5) == Step({"sst": 8}, {"sst": 1.0})


def test_every_cap_gives_an_order_of_its_own() -> None:
    (caps,) = (m for m in SetRoundRobin.model_fields["cap"].metadata if isinstance(m, Choice))
    epochs = [
        tuple(tasks_of(take(SetRoundRobin(batch_size=64, cap=int(c)).build(SIZES, 0), 2400)))
        for c in caps.values
    ]
    assert len(set(epochs)) == len(caps.values) >= 3


@given(st.integers(1, 50), st.integers(1, 9))
def test_a_visit_is_one_pass_through_the_examples(n: int, batch_size: int) -> None:
    order = SetRoundRobin(batch_size=batch_size).build({"sst": n}, 0)
    examples = ExampleOrder(n, 0)
    for _ in range(3):
        taken = [
            number
            for step in take(order, len(batches(n, batch_size)))
            for number in examples.take(step.sizes["sst"]).tolist()
        ]
        assert sorted(taken) == list(range(n))


def visits(config: RandomShuffleDropout, seed: int, n_steps: int) -> list[tuple[TaskName, ...]]:
    """Return the tasks of each epoch, told apart by the state; every set is one batch."""
    order = config.build(dict.fromkeys(SIZES, 1), seed)
    epochs: dict[int, list[TaskName]] = {}
    for _ in range(n_steps):
        number = order.state()["epoch"]
        epochs.setdefault(number, []).extend(order.next(0.0).sizes)
    return [tuple(tasks) for tasks in epochs.values()][:-1]  # the last one is not whole


def test_random_shuffle_dropout_draws_each_task_as_often_as_published() -> None:
    epochs = visits(of_course(RandomShuffleDropout()), seed=0, n_steps=6000)
    some = 1 - (1 / 2) * (2 / 3) * (1 / 10)  # an epoch of none is drawn again
    for task, p in {"sst": 1 / 2, "para": 1 / 3, "sts": 9 / 10}.items():
        n, share = len(epochs), p / some
        count = sum(task in tasks for tasks in epochs)
        assert abs(count - n * share) < 5 * math.sqrt(n * share * (1 - share)), task


def test_random_shuffle_dropout_shuffles_all_orders_alike() -> None:
    always = RandomShuffleDropout(p={"sst": 1, "para": 1, "sts": 1})
    counts = Counter(visits(always, seed=0, n_steps=6000))
    assert counts.keys() == set(permutations(SIZES))
    n = counts.total()
    assert all(abs(c - n / 6) < 5 * math.sqrt(n * 5 / 36) for c in counts.values())


@given(st.integers(0, 2**31), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_no_epoch_is_empty_and_none_has_a_task_twice(
    seed: int, p_sst: float, p_para: float, p_sts: float
) -> None:
    config = RandomShuffleDropout(p={"sst": p_sst, "para": p_para, "sts": p_sts})
    for epoch in visits(config, seed, 20):
        assert 1 <= len(epoch) == len(set(epoch))


def test_an_epoch_of_random_shuffle_dropout_trains_each_set_once() -> None:
    always = of_course(RandomShuffleDropout(batch_size=16, p={"sst": 1, "para": 1, "sts": 1}))
    sizes: dict[TaskName, int] = {"sst": 35, "para": 100, "nli": 16}
    order = always.build(sizes, 4)
    for _ in range(5):
        steps = take(order, 3 + 7 + 1)
        assert len([1 for a, b in pairwise(tasks_of(steps)) if a != b]) == 2
        trained: Counter[TaskName] = Counter()
        for step in steps:
            trained.update(step.sizes)
        assert trained == sizes


def test_inference_examples_are_visited_as_often_as_similarity() -> None:
    """With a probability of 1, and that of paraphrase near 0."""
    order = of_course(RandomShuffleDropout(p={"sst": 0.01, "para": 0.01, "sts": 1}))
    tasks = tasks_of(take(order.build({"para": 1, "nli": 1, "sts": 1}, 0), 300))
    assert min(tasks.count("nli"), tasks.count("sts")) > 140
