"""Dev metrics, and the one number that a search maximises."""

from __future__ import annotations

import logging
import math

import torch
from scipy import stats
from torch import Tensor

from trainable.tasks import TASKS, TaskName

log = logging.getLogger(__name__)

WORST_SCORE = -1.0 / 3.0  # accuracies of 0 and a correlation of -1
SCORE_KEYS = ("score", "score_2024", *(task.metric for task in TASKS.values()))


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


def scores(predicted: dict[TaskName, Tensor], labels: dict[TaskName, Tensor]) -> dict[str, float]:
    """Return the dev metrics.

    Args:
        predicted: Task -> (n,) predictions.
        labels: Task -> (n,) labels.

    Returns:
        `sst_acc`, `para_acc`, `sts_corr`; `score`, their unweighted mean (the overall score of
        2023); and `score_2024`, the same with (sts_corr + 1) / 2, as on the leaderboard of 2024.
    """
    metrics = {
        task.metric: (accuracy if task.n_classes else pearson)(predicted[name], labels[name])
        for name, task in TASKS.items()
    }
    sst, para, sts = (metrics[task.metric] for task in TASKS.values())
    return {
        "score": (sst + para + sts) / 3,
        "score_2024": (sst + para + (sts + 1) / 2) / 3,
        **metrics,
    }
