"""What was learned: against scikit-learn, and nothing for a constant."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from trainable.learning import learning, learning_keys, matthews_key
from trainable.losses import Loss
from trainable.metrics import scores
from trainable.tasks import COURSE, Task, TaskName, table

LOSSES: dict[TaskName, Loss] = {"sst": "cross_entropy", "para": "bce", "sts": "mse"}
TASKS = table(
    Task(name="a", classes=("x", "y", "z"), metric="matthews", weight=2),
    Task(name="b", metric="spearman", weight=1),
)


@given(st.integers(0, 10_000))
def test_learned_is_the_weighted_mean_of_correlations(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    found = {"a": torch.rand(30, 3, generator=draw), "b": torch.rand(30, 1, generator=draw)}
    predicted = {"a": found["a"].argmax(1).float(), "b": found["b"][:, 0]}
    labels = {"a": torch.randint(3, (30,), generator=draw).float(), "b": torch.arange(30) / 30}
    scored = scores(predicted, labels, TASKS)
    result = learning(found, predicted, labels, {"a": "cross_entropy", "b": "mse"}, TASKS, scored)
    assert tuple(result) == learning_keys(TASKS)
    agreement = matthews_corrcoef(labels["a"].numpy(), predicted["a"].numpy())
    assert result["learned"] == pytest.approx((2 * agreement + scored["b_spearman"]) / 3)
    counts = [int((predicted["a"] == c).sum()) for c in range(3)]
    assert result["a_top_share"] == pytest.approx(max(counts) / 30)
    assert counts[int(result["a_top_class"])] == max(counts)


def test_a_constant_answer_has_learned_nothing_however_high_its_accuracy() -> None:
    n = 20
    found = {
        "sst": torch.eye(5)[[1] * n],
        "para": torch.zeros(n, 1),
        "sts": torch.full((n, 1), 0.5),
    }
    predicted = {"sst": torch.ones(n), "para": torch.zeros(n), "sts": torch.full((n,), 2.5)}
    labels = {
        "sst": torch.ones(n),
        "para": (torch.arange(n) == 3).float(),
        "sts": torch.arange(n) / 4,
    }
    scored = scores(predicted, labels, COURSE)
    assert (scored["sst_acc"], scored["para_acc"]) == (1.0, 0.95)
    result = learning(found, predicted, labels, LOSSES, COURSE, scored)
    assert result["learned"] == 0
    assert (result["sst_top_share"], result["sst_top_class"]) == (1.0, 1.0)
    assert (result["para_top_share"], result["para_matthews"]) == (1.0, 0.0)
    assert "sts_top_share" not in result


def test_a_task_judged_by_matthews_has_the_key_of_its_metric_only() -> None:
    assert matthews_key(TASKS["a"]) == "a_mcc"
    assert not any("mcc" in key or "matthews" in key for key in learning_keys(TASKS))
    assert matthews_key(COURSE["sst"]) == "sst_matthews"
    assert "sst_matthews" in learning_keys(COURSE)
