from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.batch_orders.steps import SIZES, take, tasks_of
from trainable.batch_orders.by_improvement import ImprovementSampling, Stochastic
from trainable.tasks import TaskName


def improving(standardised: bool) -> ImprovementSampling:
    order = Stochastic(standardised=standardised).build(SIZES, 0)
    assert isinstance(order, ImprovementSampling)
    return order


def observe_all(order: ImprovementSampling, *rounds: Mapping[TaskName, float]) -> None:
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
    rounds: list[dict[TaskName, float]], task: TaskName, scale: float
) -> None:
    plain, scaled = improving(standardised=True), improving(standardised=True)
    observe_all(plain, *rounds)
    observe_all(scaled, *({**losses, task: losses[task] * scale} for losses in rounds))
    assert scaled.probabilities().tolist() == pytest.approx(plain.probabilities().tolist())


@given(LOSSES)
def test_standardised_improvements_are_those_of_the_formula(
    rounds: list[dict[TaskName, float]],
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
    start: dict[TaskName, float] = {"sst": 1.0, "para": 1.0, "sts": 1.0}
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
