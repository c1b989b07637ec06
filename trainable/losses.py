"""Losses, and how logits become predictions under each."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trainable.tasks import Task

Loss = Literal["cross_entropy", "bce", "mse"]


def takes_logits(loss: Loss) -> bool:
    """Whether the loss applies the sigmoid or softmax itself."""
    return loss != "mse"


def loss_value(loss: Loss, outputs: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Return the mean loss of a batch.

    Args:
        loss: `cross_entropy` over n_classes outputs; `bce`: binary cross entropy between the
            sigmoid of one output and label / label_max (a soft target for STS); `mse`: squared
            error between one output and label / label_max, in units of the label.
        outputs: (n, n_classes) for `cross_entropy`, else (n, 1).
        labels: (n,) float32 in [0, label_max].
        task: Which task.

    Returns:
        Scalar float32.
    """
    outputs = outputs.float()
    if loss == "cross_entropy":
        return F.cross_entropy(outputs, labels.long())
    target = labels / task.label_max
    if loss == "bce":
        return F.binary_cross_entropy_with_logits(outputs[:, 0], target)
    return F.mse_loss(outputs[:, 0], target) * task.label_max**2


def prediction(loss: Loss, outputs: Tensor, task: Task) -> Tensor:
    """Return (n,) float32 predictions: a class for tasks with classes, else a number.

    Numbers are clamped to [0, label_max]; a paraphrase is predicted from a score of 1/2 on.
    """
    outputs = outputs.float()
    if loss == "cross_entropy":
        return outputs.argmax(dim=1).float()
    score = torch.sigmoid(outputs[:, 0]) if loss == "bce" else outputs[:, 0]
    if task.n_classes is not None:
        return (score >= 0.5).float()
    return score.clamp(0, 1) * task.label_max
