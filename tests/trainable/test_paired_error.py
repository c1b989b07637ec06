from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from torch import Tensor

from trainable.metrics import metric_of, scores
from trainable.paired_error import N_RESAMPLES, paired_error
from trainable.tasks import COURSE, Metric, Task, table

CLASSES = ("a", "b", "c")


def task_of(metric: Metric, name: str = "own", weight: float = 1.0) -> Task:
    is_number = metric in ("pearson", "spearman")
    return Task(name=name, metric=metric, weight=weight, classes=None if is_number else CLASSES)


def drawn(task: Task, n: int, seed: int) -> list[Any]:
    """Return labels, a good run's predictions, and those of one that often agrees with it."""
    draw = np.random.default_rng(seed)
    if task.classes is None:
        labels = draw.normal(size=n).round(1)  # rounded: there are ties
        good = labels + draw.normal(size=n).round(1)
        return [labels, good, good + 0.7 * draw.normal(size=n).round(1)]
    labels = draw.integers(3, size=n)
    good = np.where(draw.random(n) < 0.7, labels, draw.integers(3, size=n))
    return [labels, good, np.where(draw.random(n) < 0.8, good, draw.integers(3, size=n))]


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "matthews", "pearson", "spearman"])
def test_it_is_what_scipys_bootstrap_finds(metric: Metric) -> None:
    task = task_of(metric)
    labels, first, second = drawn(task, 120, 3)

    def difference(y: Any, a: Any, b: Any) -> float:
        y, a, b = (torch.tensor(np.asarray(v)) for v in (y, a, b))
        return metric_of(task, a, y) - metric_of(task, b, y)

    expected = bootstrap(
        (labels, first, second),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=300 if task.classes else 1500,
        method="percentile",
        rng=np.random.default_rng(1),
    ).standard_error
    found = paired_error({"own": first}, {"own": second}, {"own": labels}, table(task))
    assert found == pytest.approx(expected, rel=0.15)  # the errors of both are about 2 to 4 %


@given(seed=st.integers(0, 10**6), n=st.integers(100, 20_000))
def test_of_accuracies_it_is_the_analytic_one(seed: int, n: int) -> None:
    """The difference is a mean of -1, 0 and 1."""
    labels, first, second = drawn(task_of("accuracy"), n, seed)
    own = (first == labels).astype(float) - (second == labels)
    found = paired_error(
        {"own": first}, {"own": second}, {"own": labels}, table(task_of("accuracy"))
    )
    assert found == pytest.approx(own.std() / math.sqrt(n), rel=0.12)


def test_errors_of_tasks_add_up_with_their_weights() -> None:
    tasks = table(*(task_of("accuracy", name, w) for name, w in (("one", 3.0), ("two", 1.0))))
    own = {name: drawn(task, 500, seed) for seed, (name, task) in enumerate(tasks.items())}
    labels, first, second = ({name: own[name][k] for name in own} for k in range(3))
    alone = [
        paired_error({n: first[n]}, {n: second[n]}, {n: labels[n]}, table(tasks[n])) for n in tasks
    ]
    found = paired_error(first, second, labels, tasks)
    assert found == pytest.approx(math.hypot(0.75 * alone[0], 0.25 * alone[1]), rel=0.1)


def course(n: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    runs: list[dict[str, Any]] = []
    for p in (0.0, 0.3, 0.4):
        runs.append({})
        for name, task in COURSE.items():
            top = task.n_classes or 6
            base = runs[0][name] if p else draw.integers(top, size=n)
            runs[-1][name] = np.where(draw.random(n) < p, draw.integers(top, size=n), base)
    return runs


def test_runs_that_agree_have_no_error_and_the_seed_decides() -> None:
    labels, first, second = course(300)
    assert paired_error(first, first, labels, COURSE) == 0
    found = [paired_error(first, second, labels, COURSE, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0] == pytest.approx(paired_error(second, first, labels, COURSE), rel=0.1)


def test_it_is_the_spread_over_data_sets_and_less_than_two_separate_errors() -> None:
    """Draw data sets from a large population, and look how the difference spreads."""
    population = course(20_000)
    draw, differences = np.random.default_rng(1), []
    for _ in range(200):
        kept = draw.choice(20_000, 400)

        def of(run: dict[str, Any], kept: Any = kept) -> dict[str, Tensor]:
            return {name: torch.tensor(own[kept]).double() for name, own in run.items()}

        labels, first, second = map(of, population)
        one, two = (scores(own, labels, COURSE)["score"] for own in (first, second))
        differences.append(one - two)
    first_400 = [{name: own[:400] for name, own in run.items()} for run in population]
    found = paired_error(first_400[1], first_400[2], first_400[0], COURSE)
    assert found == pytest.approx(np.std(differences), rel=0.2)


@pytest.mark.parametrize("metric", ["macro_f1", "matthews", "pearson", "spearman"])
def test_a_constant_answer_has_the_metric_0_in_every_resample(metric: Metric) -> None:
    task = task_of(metric)
    labels, first, _ = drawn(task, 60, 0)
    constant = np.full(60, 1.0)
    found = paired_error({"own": first}, {"own": constant}, {"own": labels}, table(task))
    assert math.isfinite(found)
    assert found > 0
    assert paired_error({"own": constant}, {"own": constant}, {"own": labels}, table(task)) == 0
    assert N_RESAMPLES == 1000
