"""Losses, and how outputs become probabilities and predictions under each."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trainable.tasks import Task

Loss = Literal["cross_entropy", "bce", "mse"]
_LEAST = 1e-7  # probability, see `loss_of_probabilities`


def takes_logits(loss: Loss) -> bool:
    """Whether the loss applies the sigmoid or softmax itself."""
    return loss != "mse"


def loss_value(
    loss: Loss, outputs: Tensor, labels: Tensor, task: Task, label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean loss of a batch.

    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7, for label smoothing: the target is
    mixed with the uniform distribution. With one output this draws the target towards 1/2.

    Args:
        loss: `cross_entropy` over n_classes outputs; `bce`: binary cross entropy between the
            sigmoid of one output and the share (label - low) / (high - low), a soft target; `mse`:
            squared error between one output and that share, in units of the label.
        outputs: (n, n_classes) for `cross_entropy`, else (n, 1).
        labels: (n,) float32 in [low, high] of the task.
        task: Which task.
        label_smoothing: Share in [0, 1) of the uniform distribution in the target.

    Returns:
        Scalar float32.
    """
    outputs = outputs.float()
    if loss == "cross_entropy":
        return F.cross_entropy(outputs, labels.long(), label_smoothing=label_smoothing)
    span = task.high - task.low
    target = (1 - label_smoothing) * (labels - task.low) / span + label_smoothing / 2
    if loss == "bce":
        return F.binary_cross_entropy_with_logits(outputs[:, 0], target)
    return F.mse_loss(outputs[:, 0], target) * span**2


def loss_of_probabilities(loss: Loss, found: Tensor, labels: Tensor, task: Task) -> float:
    """Return the mean loss of examples whose probabilities are known.

    As `loss_value` without label smoothing, in units of the share of the range under `mse`. A
    probability counts as at least 1e-7, which float32 can tell from 0 on both ends: so one certain
    and wrong answer costs 16, not infinity.

    Args:
        loss: The task's loss.
        found: (n, n_classes) or (n, 1), see `probabilities`.
        labels: (n,) in [low, high] of the task.
        task: Which task.

    Returns:
        The loss; NaN where a probability is NaN.
    """
    if not found.isfinite().all():
        return math.nan  # binary_cross_entropy would raise an error
    found, labels = found.double(), labels.to(found.device).double()
    if loss == "cross_entropy":
        own = found.gather(1, labels.long()[:, None])
        return float(-own.clamp_min(_LEAST).log().mean())
    score, target = found[:, 0], (labels - task.low) / (task.high - task.low)
    if loss == "bce":
        return float(F.binary_cross_entropy(score.clamp(_LEAST, 1 - _LEAST), target))
    return float(F.mse_loss(score, target))


def r_drop_divergence(loss: Loss, first: Tensor, second: Tensor, task: Task) -> Tensor:
    """Return how much two passes over a batch disagree, which R-Drop adds to their loss.

    Source: Liang et al. 2021 (arXiv:2106.14448), equation 2: the mean of KL(p || q) and KL(q || p),
    here of two softmax or two Bernoulli distributions. With the logits a and b of p and q the sum
    of the two is sum((p - q) * (a - b)), which neither divides nor takes a logarithm. For `mse`,
    where the paper has nothing: the squared difference, in units of the label.

    Args:
        loss: The loss that the outputs are trained with.
        first: (n, n_classes) for `cross_entropy`, else (n, 1) outputs of one pass.
        second: Outputs of the other pass, whose dropout is different.
        task: Which task.

    Returns:
        Scalar float32, at least 0: the mean over the batch.
    """
    first, second = first.float(), second.float()
    if loss == "mse":
        return F.mse_loss(first, second) * (task.high - task.low) ** 2
    if loss == "cross_entropy":
        difference = first.softmax(1) - second.softmax(1)
    else:
        difference = first.sigmoid() - second.sigmoid()
    return (difference * (first - second)).sum(1).mean() / 2


def contrastive(vectors: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of a batch of natural language inference.

    A premise is to be nearer to its own entailment than to those of other premises and to any
    contradiction.

    Source: Gao et al. 2021 (SimCSE, arXiv:2104.08821), equation 5; "BERT Goes to College", section
    3.4.

    Args:
        vectors: (3 * n, width): premises, then their entailments, then their contradictions.
        temperature: Cosines are divided by it; above 0.

    Returns:
        Scalar float32.
    """
    premises, entailments, contradictions = F.normalize(vectors.float(), dim=1).chunk(3)
    candidates = torch.cat([entailments, contradictions])  # (2n, width)
    logits = premises @ candidates.T / temperature  # (n, 2n)
    return F.cross_entropy(logits, torch.arange(len(premises), device=vectors.device))


def probabilities(loss: Loss, outputs: Tensor) -> Tensor:
    """Return what an ensemble averages: (n, n_classes) or (n, 1) float32 in [0, 1].

    That is the probability of each class, or one score: the probability of class 1, or the number
    as a share of its range.
    """
    outputs = outputs.float()
    if loss == "cross_entropy":
        return outputs.softmax(1)
    return outputs.sigmoid() if loss == "bce" else outputs.clamp(0, 1)


def decide(probabilities: Tensor, task: Task, threshold: float = 0.5) -> Tensor:
    """Return (n,) float32 predictions: a class for tasks with classes, else a number.

    Args:
        probabilities: (n, n_classes) or (n, 1), see `probabilities`.
        task: Which task.
        threshold: Smallest score of class 1, where there is one score.
    """
    if probabilities.shape[1] > 1:
        return probabilities.argmax(dim=1).float()
    score = probabilities[:, 0]
    if task.n_classes:
        return (score >= threshold).float()
    return task.low + score * (task.high - task.low)
