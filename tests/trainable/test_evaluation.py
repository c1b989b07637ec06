from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from trainable.evaluation import SCORE_KEYS, WORST_SCORE, accuracy, pearson, scores
from trainable.tasks import TaskName

PAIRS = st.lists(st.tuples(st.floats(0, 5, width=32), st.floats(0, 5, width=32)), min_size=2)


@given(PAIRS)
def test_pearson_is_that_of_numpy(pairs: list[tuple[float, float]]) -> None:
    predicted, labels = torch.tensor(pairs).T
    assume(predicted.std() > 1e-3)
    assume(labels.std() > 1e-3)
    expected = np.corrcoef(predicted.double().numpy(), labels.double().numpy())[0, 1]
    assert pearson(predicted, labels) == pytest.approx(expected, abs=1e-9)


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
    metrics = scores(*dev(0.5, 0.8, 1.0))
    assert set(metrics) == set(SCORE_KEYS)
    assert metrics["sst_acc"] == 0.5
    assert metrics["para_acc"] == 0.8
    assert metrics["sts_corr"] == pytest.approx(1)
    assert metrics["score"] == pytest.approx((0.5 + 0.8 + 1) / 3)
    assert metrics["score_2024"] == pytest.approx((0.5 + 0.8 + 1) / 3)


def test_worst_score_is_the_worst() -> None:
    metrics = scores(*dev(0.0, 0.0, -1.0))
    assert metrics["score"] == pytest.approx(WORST_SCORE)
    assert metrics["score_2024"] == pytest.approx(0)
