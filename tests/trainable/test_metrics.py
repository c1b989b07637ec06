from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef
from torch import Tensor

from tests.course import SCORE_KEYS, WORST_SCORE
from trainable.metrics import (
    accuracy,
    macro_f1,
    matthews,
    metrics_line,
    pearson,
    ranks,
    score_error,
    scores,
    shown_keys,
    spearman,
    standard_error,
    with_overall,
    worst_score,
)
from trainable.tasks import COURSE, Task, TaskName, table

PAIRS = st.lists(st.tuples(st.floats(0, 5, width=32), st.floats(0, 5, width=32)), min_size=2)


@pytest.mark.parametrize(
    ("ours", "of_scipy"), [(pearson, stats.pearsonr), (spearman, stats.spearmanr)]
)
@given(pairs=PAIRS)
def test_correlations_are_those_of_scipy(
    ours: Callable[[Tensor, Tensor], float],
    of_scipy: Callable[..., Any],
    pairs: list[tuple[float, float]],
) -> None:
    predicted, labels = torch.tensor(pairs).T
    assume(predicted.std() > 1e-3)
    assume(labels.std() > 1e-3)
    expected = of_scipy(predicted.double().numpy(), labels.double().numpy()).statistic
    assert ours(predicted, labels) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.sampled_from([0.0, 0.5, 2.0, 3.0]), min_size=1))
def test_ranks_are_those_of_scipy(numbers: list[float]) -> None:
    assert ranks(torch.tensor(numbers)).tolist() == stats.rankdata(numbers).tolist()


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 4.9])
@pytest.mark.parametrize("n", [1, 2, 7, 305])
def test_pearson_of_a_constant_is_zero_with_a_warning(
    constant: float, n: int, caplog: pytest.LogCaptureFixture
) -> None:
    same, different = torch.full((n,), constant), torch.linspace(0, 5, n)
    with caplog.at_level(logging.WARNING):
        assert pearson(same, different) == 0
        assert pearson(different, same) == 0
    assert len(caplog.records) == 2


def test_pearson_of_rounding_errors_around_a_constant_is_zero() -> None:
    labels = torch.linspace(0, 5, 100)
    assert pearson(2.5 + 1e-7 * labels, labels) == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_pearson_of_what_is_no_number_is_no_number(broken: float) -> None:
    assert math.isnan(pearson(torch.tensor([0.0, broken, 1.0]), torch.tensor([0.0, 1.0, 2.0])))


def test_accuracy_is_the_share_of_hits() -> None:
    assert accuracy(torch.tensor([0.0, 1, 2, 3]), torch.tensor([0.0, 1, 3, 3])) == 0.75


DRAWN_CLASSES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=60)


@given(DRAWN_CLASSES)
def test_f1_and_matthews_follow_from_the_confusion_matrix(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = torch.tensor(pairs, dtype=torch.float32).T
    cells = np.zeros((3, 3))
    for guess, label in pairs:
        cells[label, guess] += 1
    hits, given_, guessed = np.diag(cells), cells.sum(1), cells.sum(0)
    there = given_ + guessed > 0
    f1 = (2 * hits / np.maximum(given_ + guessed, 1))[there].mean()
    assert macro_f1(predicted, labels) == pytest.approx(f1)
    n = cells.sum()
    spread = (n**2 - (guessed**2).sum()) * (n**2 - (given_**2).sum())
    mcc = (n * hits.sum() - guessed @ given_) / math.sqrt(spread) if spread else 0.0
    assert matthews(predicted, labels) == pytest.approx(mcc)


@given(DRAWN_CLASSES)
def test_f1_and_matthews_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = torch.tensor(pairs, dtype=torch.float32).T
    sides = labels.numpy(), predicted.numpy()
    expected = f1_score(*sides, average="macro", zero_division=0)
    assert macro_f1(predicted, labels) == pytest.approx(expected)
    assert matthews(predicted, labels) == pytest.approx(matthews_corrcoef(*sides))


def test_weights_count_in_both_means_and_a_matthews_correlation_is_not_moved() -> None:
    tasks = table(
        Task(name="a", classes=("x", "y"), metric="matthews", weight=3),
        Task(name="b", metric="spearman"),
        Task(name="c", weight=0),
    )
    found = with_overall({"a_mcc": 0.5, "b_spearman": -0.5, "c_corr": 0.9}, tasks)
    assert found["score"] == pytest.approx((3 * 0.5 - 0.5) / 4)
    assert found["score_2024"] == pytest.approx((3 * 0.5 + 0.25) / 4)
    assert worst_score(tasks) == -1.0


def dev(
    sst: float, para: float, sts: float
) -> tuple[dict[TaskName, Tensor], dict[TaskName, Tensor]]:
    """Return predictions and labels with accuracies sst and para, and sts of -1 or 1."""
    labels: dict[TaskName, Tensor] = {
        "sst": torch.zeros(10),
        "para": torch.zeros(10),
        "sts": torch.arange(10.0),
    }
    predicted: dict[TaskName, Tensor] = {
        "sst": (torch.arange(10) >= 10 * sst).float(),
        "para": (torch.arange(10) >= 10 * para).float(),
        "sts": sts * torch.arange(10.0),
    }
    return predicted, labels


def test_scores_are_the_means_that_the_course_uses() -> None:
    metrics = scores(*dev(0.5, 0.8, 1.0), COURSE)
    assert set(metrics) == set(SCORE_KEYS)
    assert metrics["sst_acc"] == 0.5
    assert metrics["para_acc"] == 0.8
    assert metrics["sts_corr"] == pytest.approx(1)
    assert metrics["score"] == pytest.approx((0.5 + 0.8 + 1) / 3)
    assert metrics["score_2024"] == pytest.approx((0.5 + 0.8 + 1) / 3)


def test_the_score_of_the_leaderboard_is_shown_for_tasks_of_the_course_only() -> None:
    weighted = {name: task.model_copy(update={"weight": 2.0}) for name, task in COURSE.items()}
    assert shown_keys(weighted) == ("score", "score_2024", "sst_acc", "para_acc", "sts_corr")
    other = COURSE["sst"].model_copy(update={"metric": "macro_f1"})
    assert shown_keys(table(other)) == ("score", "sst_f1")
    assert shown_keys(table(*COURSE.values(), Task(name="own"))) == (
        *("score", "sst_acc", "para_acc", "sts_corr", "own_corr"),
    )


def test_worst_score_is_the_worst() -> None:
    metrics = scores(*dev(0.0, 0.0, -1.0), COURSE)
    assert metrics["score"] == pytest.approx(WORST_SCORE)
    assert metrics["score_2024"] == pytest.approx(0)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_error_of_an_accuracy_is_that_of_a_mean_of_hits(hits_and_n: tuple[int, int]) -> None:
    hits, n = hits_and_n
    outcomes = np.array([1.0] * hits + [0.0] * (n - hits))
    for task in ("sst", "para"):
        found = standard_error(COURSE[task], hits / n, n)
        assert found == pytest.approx(outcomes.std() / math.sqrt(n))


@pytest.mark.parametrize("r", [-0.9, 0.0, 0.3, 0.87])
def test_the_error_of_a_correlation_is_its_spread_over_samples(r: float) -> None:
    n = 200
    generator = np.random.default_rng(0)
    x, noise = generator.normal(size=(2, 1000, n))
    y = r * x + math.sqrt(1 - r**2) * noise
    drawn = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    assert standard_error(COURSE["sts"], r, n) == pytest.approx(np.std(drawn), rel=0.1)


@pytest.mark.parametrize("n", [4, 5, 12, 300])
def test_the_error_of_a_correlation_is_that_of_scipy_s_interval(n: int) -> None:
    """An interval so narrow that it is straight; scipy makes it from Fisher's z."""
    x, noise = np.random.default_rng(n).normal(size=(2, n))
    result = stats.pearsonr(x, x + noise)
    level = 1e-4
    interval = result.confidence_interval(level)
    expected = (interval.high - interval.low) / 2 / stats.norm.ppf(0.5 + level / 2)
    found = standard_error(COURSE["sts"], float(result.statistic), n)
    assert found == pytest.approx(expected, rel=1e-4)


def test_too_few_examples_have_no_error() -> None:
    assert math.isnan(standard_error(COURSE["sst"], 0.0, 0))
    assert math.isnan(standard_error(COURSE["sts"], 1.0, 3))


def test_the_error_of_a_score_is_the_spread_of_the_weighted_mean_of_independent_tasks() -> None:
    tasks = table(
        Task(name="a", classes=("x", "y"), weight=3),
        Task(name="b", metric="pearson"),
        Task(name="c", metric="pearson", weight=0),
    )
    metrics, sizes = {"a_acc": 0.8, "b_corr": 0.6, "c_corr": 0.1}, {"a": 400, "b": 200, "c": 9}
    draw = np.random.default_rng(0)
    hits = draw.binomial(400, 0.8, 4000) / 400
    x, noise = draw.normal(size=(2, 4000, 200))
    y = 0.6 * x + 0.8 * noise
    x, y = (own - own.mean(1, keepdims=True) for own in (x, y))
    r = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    expected = np.std((3 * hits + r) / 4)
    assert score_error(metrics, tasks, sizes) == pytest.approx(expected, rel=0.05)
    assert score_error({**metrics, "c_corr": 0.9}, tasks, sizes) == pytest.approx(
        score_error(metrics, tasks, sizes)
    )


@pytest.mark.parametrize("missing", ["sst_acc", "para_acc", "sts_corr"])
def test_a_score_of_which_a_metric_is_not_known_has_no_error(missing: str) -> None:
    metrics: dict[str, float | None] = {"sst_acc": 0.5, "para_acc": 0.8, "sts_corr": 0.7}
    sizes = dict.fromkeys(COURSE, 100)
    assert 0 < score_error(metrics, COURSE, sizes) < 0.1
    assert math.isnan(score_error({**metrics, missing: None}, COURSE, sizes))
    assert math.isnan(score_error({k: metrics[k] for k in metrics if k != missing}, COURSE, sizes))
    few = {task: 1 if own.metric_key == missing else 100 for task, own in COURSE.items()}
    assert math.isnan(score_error(metrics, COURSE, few)) == (missing == "sts_corr")


def test_overall_scores_of_many_runs_are_those_of_each() -> None:
    rows = torch.rand(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metrics = dict(zip(("sst_acc", "para_acc", "sts_corr"), rows, strict=True))
    together = with_overall(metrics, COURSE)
    assert set(together) == set(SCORE_KEYS)
    for i in range(7):
        alone = with_overall({key: float(row[i]) for key, row in metrics.items()}, COURSE)
        for key in SCORE_KEYS:
            assert float(together[key][i]) == pytest.approx(alone[key])


def test_a_line_leaves_out_what_is_not_known() -> None:
    found = metrics_line({"sst_loss": 1.23456, "para_loss": math.nan, "sts_loss": 0.0})
    assert found == "sst_loss 1.2346  sts_loss 0.0000"
