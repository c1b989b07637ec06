"""Dev metrics, and the one number that a search maximises."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainable.tasks import NUMBER_METRICS, Metric, Task, TaskName, Tasks, is_of_course

log = logging.getLogger(__name__)

Number = TypeVar("Number", float, Tensor)


def score_keys(tasks: Tasks) -> tuple[str, ...]:
    """Return the keys of the scores of a run: `score`, `score_2024`, and each task's metric."""
    return ("score", "score_2024", *metric_keys(tasks))


def shown_keys(tasks: Tasks) -> tuple[str, ...]:
    """Return those of `score_keys` for people: `score_2024` means something in the course only."""
    of_course = all(map(is_of_course, tasks.values()))
    return tuple(key for key in score_keys(tasks) if of_course or key != "score_2024")


def metric_keys(tasks: Tasks) -> tuple[str, ...]:
    """Return the keys of the tasks' metrics, in the order of the tasks."""
    return tuple(task.metric_key for task in tasks.values())


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of equal entries, in [0, 1]."""
    return float((predicted == labels).double().mean())


def macro_f1(predicted: Tensor, labels: Tensor) -> float:
    """Mean over classes of the F1 score, in [0, 1]; 0 for a class that is never predicted."""
    counts = confusion(predicted, labels)
    total = counts.sum(0) + counts.sum(1)
    there = total > 0
    return float((2 * counts.diagonal()[there] / total[there]).mean())


def matthews(predicted: Tensor, labels: Tensor) -> float:
    """Matthews correlation in [-1, 1]; 0 where either side is constant."""
    counts = confusion(predicted, labels)
    n, guessed, given = counts.sum(), counts.sum(0), counts.sum(1)
    spread = (n**2 - guessed @ guessed) * (n**2 - given @ given)
    if spread == 0:
        return 0.0
    return float((n * counts.trace() - guessed @ given) / spread.sqrt())


def confusion(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return how often each label met each prediction.

    Args:
        predicted: (n,) numbers of classes, float32.
        labels: The same.

    Returns:
        (n_classes, n_classes) float64 counts, a row for each label; as many classes as occur.
    """
    rows, columns = labels.long().cpu(), predicted.long().cpu()
    size = int(torch.maximum(rows, columns).max()) + 1
    return torch.bincount(rows * size + columns, minlength=size**2).view(size, size).double()


def pearson(predicted: Tensor, labels: Tensor) -> float:
    """Pearson correlation in [-1, 1]; 0 with a warning where either side is constant."""
    return _correlation(predicted, labels, lambda x: x)


def spearman(predicted: Tensor, labels: Tensor) -> float:
    """Spearman rank correlation in [-1, 1]; 0 with a warning where either side is constant."""
    return _correlation(predicted, labels, ranks)


def ranks(x: Tensor) -> Tensor:
    """Return the ranks of (n,) numbers from 1 on, float64; equal ones have the mean of theirs."""
    _, place, counts = torch.unique(x, return_inverse=True, return_counts=True)
    means: Tensor = counts.cumsum(0) - (counts.double() - 1) / 2
    return means[place]


# Not scipy's, although the search has it: to import scipy.stats takes half a second of each actor.
def _correlation(predicted: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor]) -> float:
    x, y = predicted.double().cpu(), labels.double().cpu()
    if not torch.isfinite(x).all():
        return math.nan
    # A spread of rounding errors is no spread: noise would be correlated.
    if len(x) < 2 or x.std() <= 1e-6 * (1 + x.abs().max()) or y.std() == 0:
        log.warning("predictions or labels are constant: the correlation is reported as 0")
        return 0.0
    return float(torch.corrcoef(torch.stack([transform(x), transform(y)]))[0, 1])


_METRICS: dict[Metric, Callable[[Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


def metric_of(task: Task, predicted: Tensor, labels: Tensor) -> float:
    """Return a task's own metric, from (n,) predictions and (n,) labels."""
    return _METRICS[task.metric](predicted, labels)


def standard_error(task: Task, score: float, n: int) -> float:
    """Return the standard error of a task's metric over n examples, NaN where n is too small.

    Accuracy: binomial, sqrt(a (1 - a) / n); taken for macro-F1 as well, which has no closed form.
    Correlation: Fisher's z has the standard error 1 / sqrt(n - 3), so that r has
    (1 - r^2) / sqrt(n - 3) to first order; for ranks 1.06 in place of 1 (Fieller, Hartley and
    Pearson 1957).

    Args:
        task: Which task.
        score: Accuracy or F1 in [0, 1], or correlation in [-1, 1].
        n: Number of examples.
    """
    if task.metric in ("accuracy", "macro_f1"):
        return math.sqrt(score * (1 - score) / n) if n > 0 else math.nan
    variance = 1.06 if task.metric == "spearman" else 1.0
    return (1 - score**2) * math.sqrt(variance / (n - 3)) if n > 3 else math.nan


def score_error(
    metrics: Mapping[str, float | None], tasks: Tasks, n_examples: Mapping[TaskName, int]
) -> float:
    """Return the standard error of a score, NaN where a metric is missing or n is too small.

    Args:
        metrics: Metric key of each task -> its value, None for what is not known.
        tasks: The tasks, with their metrics and weights.
        n_examples: Task -> number of examples that it was scored on.
    """
    total = sum(task.weight for task in tasks.values())
    found = [metrics.get(task.metric_key) for task in tasks.values()]
    return math.hypot(
        *(
            math.nan
            if value is None
            else task.weight / total * standard_error(task, value, n_examples[name])
            for (name, task), value in zip(tasks.items(), found, strict=True)
        )
    )


def scores(
    predicted: Mapping[TaskName, Tensor], labels: Mapping[TaskName, Tensor], tasks: Tasks
) -> dict[str, float]:
    """Return the dev metrics.

    Args:
        predicted: Task -> (n,) predictions.
        labels: Task -> (n,) labels.
        tasks: The tasks, with their metrics and weights.

    Returns:
        The result of `with_overall` for the metrics of all tasks.
    """
    return with_overall(
        {
            task.metric_key: metric_of(task, predicted[name], labels[name])
            for name, task in tasks.items()
        },
        tasks,
    )


def with_overall(metrics: dict[str, Number], tasks: Tasks) -> dict[str, Number]:
    """Return the tasks' metrics, numbers or tensors of numbers, and two means of them.

    Both means have the weights of the tasks. `score` is of the metrics (with equal weights, the
    overall score of CS224N in 2023); `score_2024` is the same with (r + 1) / 2 for a correlation r
    with numbers, as on its leaderboard of 2024.
    """
    own = [(task, metrics[task.metric_key]) for task in tasks.values()]
    shares = [(r + 1) / 2 if task.metric in NUMBER_METRICS else r for task, r in own]
    weights = [task.weight for task in tasks.values()]
    total = sum(weights)
    found: dict[str, Any] = {
        "score": sum(task.weight * metric for task, metric in own) / total,
        "score_2024": sum(w * r for w, r in zip(weights, shares, strict=True)) / total,
    }
    return found | metrics


def worst_score(tasks: Tasks) -> float:
    """Return the smallest possible score: accuracies of 0 and correlations of -1."""
    worst = {
        task.metric_key: 0.0 if task.metric in ("accuracy", "macro_f1") else -1.0
        for task in tasks.values()
    }
    return with_overall(worst, tasks)["score"]


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Return names and values in one line, for people; without those that are not known."""
    return "  ".join(f"{k} {v:.4f}" for k, v in metrics.items() if not math.isnan(v))
