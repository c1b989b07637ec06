from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from itertools import groupby, pairwise, permutations
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainable.batch_orders.all_tasks import LockStep, ProportionalBatches
from trainable.batch_orders.base import BatchOrder, Step
from trainable.batch_orders.by_improvement import ImprovementSampling, Stochastic
from trainable.batch_orders.by_size import SizeSampling
from trainable.batch_orders.family import BatchOrderConfig
from trainable.batch_orders.in_turn import RoundRobin
from trainable.batch_orders.sequential import Sequential
from trainable.batch_orders.visits import RandomShuffleDropout, SetRoundRobin
from trainable.component import Choice
from trainable.seeds import ExampleOrder
from trainable.tasks import TRAIN_NAMES, TrainName

SIZES: dict[TrainName, int] = {"sst": 8544, "para": 141506, "sts": 6040}
CONFIGS: tuple[Any, ...] = (
    *(model() for model in get_args(get_args(BatchOrderConfig)[0])),
    LockStep(wrap=False),
    Stochastic(standardised=True),
)
KINDS = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
TRAIN_SETS = st.dictionaries(
    st.sampled_from(TRAIN_NAMES), st.integers(1, 200), min_size=1, max_size=4
)


def take(order: BatchOrder, n: int, progress: float = 0.0) -> list[Step]:
    """Take n steps as a run does, with losses that depend on the step alone."""
    steps = []
    for _ in range(n):
        steps.append(order.next(progress))
        if order.needs_losses:
            order.observe({t: math.sin(len(steps) * len(t)) for t in steps[-1].sizes})
    return steps


def tasks_of(steps: list[Step]) -> list[TrainName]:
    assert all(len(step.sizes) == 1 for step in steps)
    return [next(iter(step.sizes)) for step in steps]


def test_all_batch_orders_are_tested() -> None:
    assert {config.kind for config in CONFIGS} >= {
        "round_robin",
        "set_round_robin",
        "sequential",
        "random_shuffle_dropout",
        "proportional",
        "stochastic",
        "lock_step",
        "proportional_batches",
    }


@KINDS
@given(sizes=TRAIN_SETS, progress=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**31))
def test_steps_train_tasks_that_there_are(
    config: Any, sizes: dict[TrainName, int], progress: float, seed: int
) -> None:
    for step in take(config.build(sizes, seed), 30, progress):
        assert step.sizes
        assert step.sizes.keys() <= sizes.keys()
        assert step.loss_scales.keys() == step.sizes.keys()
        assert all(isinstance(n, int) and n >= 1 for n in step.sizes.values())
        assert all(0 < scale <= 1 for scale in step.loss_scales.values())


@KINDS
def test_every_task_has_its_turn(config: Any) -> None:
    sizes: dict[TrainName, int] = {"sts": 3, "para": 200, "sst": 30, "nli": 100}
    order = config.build(sizes, seed=0)
    seen = {task for k in range(1000) for step in take(order, 1, k / 1000) for task in step.sizes}
    assert seen == sizes.keys()


@KINDS
@given(before=st.integers(0, 30), sizes=TRAIN_SETS)
def test_loaded_state_goes_on_as_if_never_stopped(
    config: Any, before: int, sizes: dict[TrainName, int]
) -> None:
    order = config.build(sizes, seed=3)
    take(order, before, 0.2)
    state = json.loads(json.dumps(order.state()))
    resumed = config.build(sizes, seed=3)
    take(resumed, 5)  # a state is loaded over whatever there is
    resumed.load(state)
    assert take(resumed, 25, 0.9) == take(order, 25, 0.9)
    assert resumed.state() == order.state()


@KINDS
def test_equal_seeds_give_equal_orders(config: Any) -> None:
    assert take(config.build(SIZES, 1), 100) == take(config.build(SIZES, 1), 100)


@KINDS
def test_gradients_that_are_offered_fit_the_order(config: Any) -> None:
    """One task a step has nothing to project, so it offers no surgery."""
    together = len(config.build(SIZES, 0).next(0.0).sizes) > 1
    field = type(config).model_fields["gradients"]
    offered = {model.model_fields["kind"].default for model in get_args(field.annotation)}
    assert "plain" in offered
    assert ("pcgrad" in offered) == together


@pytest.mark.parametrize(
    "config",
    [config for config in CONFIGS if "batch_size" in type(config).model_fields],
    ids=lambda config: config.kind,
)
def test_batches_have_the_size_asked_for(config: Any) -> None:
    order = type(config)(batch_size=5).build(SIZES, seed=0)
    assert {n for step in take(order, 50) for n in step.sizes.values()} == {5}


@KINDS
def test_orders_go_pass_by_pass_unless_asked(config: Any) -> None:
    assert not config.build(SIZES, 0).with_replacement


@pytest.mark.parametrize("wrap", [True, False])
def test_lock_step_draws_with_replacement_if_asked(wrap: bool) -> None:
    assert LockStep(wrap=wrap, replacement=True).build(SIZES, 0).with_replacement


def test_round_robin_takes_turns() -> None:
    tasks = tasks_of(take(RoundRobin().build(SIZES, 0), 7))
    assert tasks == ["sst", "para", "sts", "sst", "para", "sts", "sst"]


def test_lock_step_takes_every_task_every_time() -> None:
    sizes, scales = dict.fromkeys(SIZES, 4), dict.fromkeys(SIZES, 1.0)
    assert take(LockStep(batch_size=4).build(SIZES, 0), 2) == [Step(sizes, scales)] * 2


@given(TRAIN_SETS, st.integers(1, 40))
def test_lock_step_without_wrap_lets_each_set_pass_once_an_epoch(
    sizes: dict[TrainName, int], batch_size: int
) -> None:
    order = LockStep(batch_size=batch_size, wrap=False).build(sizes, 0)
    own = {task: batches(size, batch_size) for task, size in sizes.items()}
    n_steps = max(len(parts) for parts in own.values())
    epoch = [{t: parts[k] for t, parts in own.items() if k < len(parts)} for k in range(n_steps)]
    assert [step.sizes for step in take(order, 2 * n_steps)] == 2 * epoch


# Whole train sets


def batches(n_examples: int, batch_size: int) -> list[int]:
    """What a loader without a cap gives in a pass: full batches and a rest."""
    return [len(part) for part in torch.arange(n_examples).split(batch_size)]


def epoch_by_hand(sizes: dict[TrainName, int], batch_size: int, cap: int) -> list[Step]:
    steps = []
    for task, size in sizes.items():
        own = batches(size, batch_size)
        if cap and task in ("para", "nli"):
            own = own[:cap]
        steps += [Step({task: n}, {task: 1.0}) for n in own]
    return steps


@given(TRAIN_SETS, st.integers(1, 9), st.integers(0, 9))
def test_set_round_robin_trains_whole_sets_in_turn(
    sizes: dict[TrainName, int], batch_size: int, cap: int
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


def visits(config: RandomShuffleDropout, seed: int, n_steps: int) -> list[tuple[TrainName, ...]]:
    """Return the tasks of each epoch, told apart by the state; every set is one batch."""
    order = config.build(dict.fromkeys(SIZES, 1), seed)
    epochs: dict[int, list[TrainName]] = {}
    for _ in range(n_steps):
        number = order.state()["epoch"]
        epochs.setdefault(number, []).extend(order.next(0.0).sizes)
    return [tuple(tasks) for tasks in epochs.values()][:-1]  # the last one is not whole


def test_random_shuffle_dropout_draws_each_task_as_often_as_published() -> None:
    epochs = visits(RandomShuffleDropout(), seed=0, n_steps=6000)
    some = 1 - (1 / 2) * (2 / 3) * (1 / 10)  # an epoch of none is drawn again
    for task, p in {"sst": 1 / 2, "para": 1 / 3, "sts": 9 / 10}.items():
        n, share = len(epochs), p / some
        count = sum(task in tasks for tasks in epochs)
        assert abs(count - n * share) < 5 * math.sqrt(n * share * (1 - share)), task


def test_random_shuffle_dropout_shuffles_all_orders_alike() -> None:
    always = RandomShuffleDropout(p_sst=1, p_para=1, p_sts=1)
    counts = Counter(visits(always, seed=0, n_steps=6000))
    assert counts.keys() == set(permutations(SIZES))
    n = counts.total()
    assert all(abs(c - n / 6) < 5 * math.sqrt(n * 5 / 36) for c in counts.values())


@given(st.integers(0, 2**31), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_no_epoch_is_empty_and_none_has_a_task_twice(
    seed: int, p_sst: float, p_para: float, p_sts: float
) -> None:
    config = RandomShuffleDropout(p_sst=p_sst, p_para=p_para, p_sts=p_sts)
    for epoch in visits(config, seed, 20):
        assert 1 <= len(epoch) == len(set(epoch))


def test_an_epoch_of_random_shuffle_dropout_trains_each_set_once() -> None:
    always = RandomShuffleDropout(batch_size=16, p_sst=1, p_para=1, p_sts=1)
    sizes: dict[TrainName, int] = {"sst": 35, "para": 100, "nli": 16}
    order = always.build(sizes, 4)
    for _ in range(5):
        steps = take(order, 3 + 7 + 1)
        assert len([1 for a, b in pairwise(tasks_of(steps)) if a != b]) == 2
        trained: Counter[TrainName] = Counter()
        for step in steps:
            trained.update(step.sizes)
        assert trained == sizes


# By progress


@given(TRAIN_SETS, st.integers(50, 400))
def test_sequential_phases_are_shares_of_the_budget(
    sizes: dict[TrainName, int], n_steps: int
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


def sampling(alpha: float, annealing: float, seed: int = 0) -> SizeSampling:
    return SizeSampling(SIZES, 1, alpha, annealing, seed)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_probabilities_are_proportional_to_a_power_of_the_size(alpha: float) -> None:
    sst, para, sts = sampling(alpha, 0.0).probabilities(0.7).tolist()
    assert sst + para + sts == pytest.approx(1)
    assert para / sst == pytest.approx((SIZES["para"] / SIZES["sst"]) ** alpha)
    assert sts / sst == pytest.approx((SIZES["sts"] / SIZES["sst"]) ** alpha)


def test_annealing_takes_off_alpha_by_progress() -> None:
    annealed = sampling(1.0, 0.8)
    for progress in (0.0, 0.25, 1.0):
        expected = sampling(1.0 - 0.8 * progress, 0.0).probabilities(0.0)
        assert annealed.probabilities(progress).tolist() == pytest.approx(expected.tolist())


def test_annealing_depends_on_progress_and_not_on_the_number_of_steps() -> None:
    fresh, used = sampling(1.0, 0.8), sampling(1.0, 0.8)
    take(used, 100, 0.1)
    assert used.probabilities(0.5).tolist() == fresh.probabilities(0.5).tolist()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_tasks_are_drawn_as_often_as_their_probability_says(alpha: float) -> None:
    n = 5000
    order = sampling(alpha, 0.0)
    counts = Counter(tasks_of(take(order, n)))
    for task, p in zip(SIZES, order.probabilities(0.0).tolist(), strict=True):
        assert abs(counts[task] - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_different_seeds_draw_different_orders() -> None:
    assert take(sampling(0.5, 0, seed=0), 100) != take(sampling(0.5, 0, seed=1), 100)


# By loss


def improving(standardised: bool) -> ImprovementSampling:
    order = Stochastic(standardised=standardised).build(SIZES, 0)
    assert isinstance(order, ImprovementSampling)
    return order


def observe_all(order: ImprovementSampling, *rounds: Mapping[TrainName, float]) -> None:
    for losses in rounds:
        order.observe(losses)


def test_stochastic_visits_every_task_twice_first() -> None:
    first = tasks_of(take(improving(standardised=False), 6))
    assert first == ["sst", "para", "sts"] * 2


def test_stochastic_draws_from_the_softmax_of_the_improvements() -> None:
    order = improving(standardised=False)
    falls = torch.tensor([0.3, -0.2, 1.1], dtype=torch.float64)
    after = dict(zip(SIZES, (2.0 - falls).tolist(), strict=True))
    observe_all(order, dict.fromkeys(SIZES, 2.0), after)
    expected = falls.exp() / falls.exp().sum()  # equations 4 and 5
    assert order.probabilities().tolist() == pytest.approx(expected.tolist())
    # Without news of a loss the probabilities stay, and the draws follow them.
    n = 5000
    counts = Counter(next(iter(order.next(0.0).sizes)) for _ in range(n))
    for task, p in zip(SIZES, expected.tolist(), strict=True):
        assert abs(counts[task] - n * p) < 5 * math.sqrt(n * p * (1 - p))


LOSSES = st.lists(
    st.fixed_dictionaries({task: st.floats(0.1, 20) for task in SIZES}), min_size=2, max_size=20
)


@given(LOSSES, st.sampled_from(list(SIZES)), st.sampled_from([0.01, 7.0, 1000.0]))
def test_standardised_improvements_do_not_depend_on_the_scale_of_a_loss(
    rounds: list[dict[TrainName, float]], task: TrainName, scale: float
) -> None:
    plain, scaled = improving(standardised=True), improving(standardised=True)
    observe_all(plain, *rounds)
    observe_all(scaled, *({**losses, task: losses[task] * scale} for losses in rounds))
    assert scaled.probabilities().tolist() == pytest.approx(plain.probabilities().tolist())


@given(LOSSES)
def test_standardised_improvements_are_those_of_the_formula(
    rounds: list[dict[TrainName, float]],
) -> None:
    order = improving(standardised=True)
    observe_all(order, *rounds)
    for task in SIZES:
        falls = [a[task] - b[task] for a, b in pairwise(rounds)]
        weights = [0.9**k for k in reversed(range(len(falls)))]
        pairs = zip(weights, falls, strict=True)
        mean = sum(w * fall**2 for w, fall in pairs) / sum(weights)
        expected = falls[-1] / math.sqrt(mean) if mean else 0.0
        assert order.tracks[task].improvement == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert abs(order.tracks[task].improvement) <= math.sqrt(10) * (1 + 1e-9)


@pytest.mark.parametrize("standardised", [False, True])
def test_a_task_that_got_much_worse_comes_back(standardised: bool) -> None:
    order = improving(standardised)
    start: dict[TrainName, float] = {"sst": 1.0, "para": 1.0, "sts": 1.0}
    observe_all(order, start, start, {"sts": 40.0})
    assert order.probabilities()[2] < 0.25
    for _ in range(12):
        order.observe({"sst": 1.0})
    assert order.probabilities()[2].item() == pytest.approx(1 / 3, abs=0.01)


def test_a_loss_that_is_no_number_leaves_the_draws_alone() -> None:
    """The loop ends such a run at the end of its unit; until then the order must go on."""
    order = improving(standardised=False)
    broken = {"sst": math.nan, "para": math.inf, "sts": 1.0}
    observe_all(order, *[{t: broken[t] for t in SIZES}] * 3)
    assert order.probabilities().isfinite().all()
    order.next(0.0)


# By batch size


def test_proportional_batches_are_the_published_ones() -> None:
    (step,) = take(ProportionalBatches().build(SIZES, 0), 1)
    assert step.sizes == {"sst": 1, "para": 24, "sts": 1}
    assert step.loss_scales == {"sst": 1.0, "para": 1 / 24, "sts": 1.0}


@given(TRAIN_SETS, st.integers(1, 8), st.integers(8, 64), st.booleans())
def test_proportional_batches_are_in_proportion_between_the_limits(
    sizes: dict[TrainName, int], smallest: int, largest: int, rescaled: bool
) -> None:
    config = ProportionalBatches(smallest=smallest, largest=largest, rescaled=rescaled)
    (step,) = take(config.build(sizes, 0), 1)
    assert max(step.sizes.values()) == largest
    assert min(step.sizes.values()) >= smallest
    for task, size in sizes.items():
        exact = largest * size / max(sizes.values())
        assert abs(step.sizes[task] - max(smallest, exact)) <= 0.5
    # Equation 7: every loss, were it a sum over its batch, counts as one over the smallest batch.
    sums = {task: n * step.loss_scales[task] for task, n in step.sizes.items()}
    expected = dict.fromkeys(sizes, min(step.sizes.values())) if rescaled else step.sizes
    assert sums == pytest.approx(expected)


def test_a_smallest_batch_above_the_largest_is_refused() -> None:
    with pytest.raises(ValidationError, match="smallest is 32 and largest is 24"):
        ProportionalBatches(smallest=32)
