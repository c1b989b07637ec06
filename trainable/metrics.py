"""Dev metrics, and the one number that a search maximises."""

from __future__ import annotations

import logging
import math
from typing import TypeVar

import torch
from scipy import stats
from torch import Tensor

from trainable.tasks import TASK_METRICS, TASKS, Task, TaskName

log = logging.getLogger(__name__)

WORST_SCORE = -1.0 / 3.0  # accuracies of 0 and a correlation of -1
Number = TypeVar("Number", float, Tensor)
SCORE_KEYS = ("score", "score_2024", *TASK_METRICS)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of equal entries, in [0, 1]."""
    return float((predicted == labels).double().mean())


def pearson(predicted: Tensor, labels: Tensor) -> float:
    """Pearson correlation in [-1, 1]; 0 with a warning where either side is constant."""
    x, y = predicted.double().cpu(), labels.double().cpu()
    if not torch.isfinite(x).all():
        return math.nan
    # A spread of rounding errors is no spread: scipy would correlate noise.
    if len(x) < 2 or x.std() <= 1e-6 * (1 + x.abs().max()) or y.std() == 0:
        log.warning("predictions or labels are constant: the correlation is reported as 0")
        return 0.0
    return float(stats.pearsonr(x.numpy(), y.numpy()).statistic)


def standard_error(task: Task, score: float, n: int) -> float:
    """Return the standard error of a task's metric over n examples, NaN where n is too small.

    Accuracy: binomial, sqrt(a (1 - a) / n). Correlation: Fisher's z has the standard error
    1 / sqrt(n - 3), so that r has (1 - r^2) / sqrt(n - 3) to first order.

    Args:
        task: Which task.
        score: Accuracy in [0, 1], or correlation in [-1, 1].
        n: Number of examples.
    """
    if task.n_classes is not None:
        return math.sqrt(score * (1 - score) / n) if n > 0 else math.nan
    return (1 - score**2) / math.sqrt(n - 3) if n > 3 else math.nan


def scores(predicted: dict[TaskName, Tensor], labels: dict[TaskName, Tensor]) -> dict[str, float]:
    """Return the dev metrics.

    Args:
        predicted: Task -> (n,) predictions.
        labels: Task -> (n,) labels.

    Returns:
        `sst_acc`, `para_acc`, `sts_corr`; `score`, their unweighted mean (the overall score of
        2023); and `score_2024`, the same with (sts_corr + 1) / 2, as on the leaderboard of 2024.
    """
    return with_overall(
        {
            task.metric: (accuracy if task.n_classes else pearson)(predicted[name], labels[name])
            for name, task in TASKS.items()
        }
    )


def with_overall(metrics: dict[str, Number]) -> dict[str, Number]:
    """Return the metrics of the three tasks, numbers or tensors of numbers, and both means."""
    sst, para, sts = (metrics[task.metric] for task in TASKS.values())
    return {
        "score": (sst + para + sts) / 3,
        "score_2024": (sst + para + (sts + 1) / 2) / 3,
        **metrics,
    }
