"""What a run has learned of each task, beside its metric: a constant answer is not learning.

On labels of which most are alike, a constant answer has a high accuracy. Its Matthews correlation
is 0, as is its correlation with numbers, and so is its part of `learned`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainable.losses import Loss, loss_of_probabilities
from trainable.metrics import matthews
from trainable.tasks import Task, TaskName, Tasks


def learning_keys(tasks: Tasks) -> tuple[str, ...]:
    """Return the keys of `learning`: `learned`, and those of each task."""
    keys = ["learned", *(f"{name}_dev_loss" for name in tasks)]
    for name, task in tasks.items():
        if task.n_classes:
            keys += dict.fromkeys((matthews_key(task), f"{name}_top_share", f"{name}_top_class"))
    own_metrics = {task.metric_key for task in tasks.values()}
    return tuple(key for key in keys if key not in own_metrics)


def matthews_key(task: Task) -> str:
    """Return the key of the Matthews correlation of a task with classes."""
    return task.metric_key if task.metric == "matthews" else f"{task.name}_matthews"


def learning(
    found: Mapping[TaskName, Tensor],
    predicted: Mapping[TaskName, Tensor],
    labels: Mapping[TaskName, Tensor],
    losses: Mapping[TaskName, Loss],
    tasks: Tasks,
    scored: Mapping[str, float],
) -> dict[str, float]:
    """Return what was learned.

    Args:
        found: Task -> (n, n_classes) or (n, 1) probabilities or scores.
        predicted: Task -> (n,) predictions.
        labels: Task -> (n,) labels.
        losses: Task -> its loss.
        tasks: The tasks, with their weights.
        scored: Result of `scores` for the same predictions.

    Returns:
        `{task}_dev_loss`, the mean loss; for tasks with classes `{task}_matthews`, unless that is
        the task's metric, and of the most frequent prediction `{task}_top_share` in (0, 1] and
        `{task}_top_class`; and `learned`, the weighted mean over tasks of the Matthews correlation
        for classes and the task's own correlation for numbers.
    """
    known: dict[str, float] = {}
    total = 0.0
    for name, task in tasks.items():
        known[f"{name}_dev_loss"] = loss_of_probabilities(
            losses[name], found[name], labels[name], task
        )
        agreement = scored[task.metric_key]
        if task.n_classes:
            agreement = matthews(predicted[name], labels[name])
            counts = torch.bincount(predicted[name].long())
            known[matthews_key(task)] = agreement
            known[f"{name}_top_share"] = float(counts.max()) / len(predicted[name])
            known[f"{name}_top_class"] = float(counts.argmax())
        total += task.weight * agreement
    known["learned"] = total / sum(task.weight for task in tasks.values())
    return {key: known[key] for key in learning_keys(tasks)}
