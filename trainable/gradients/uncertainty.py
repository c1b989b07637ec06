"""Losses divided by variances that are learned together with the model.

Source: Kendall et al. 2018 (arXiv:1705.07115).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from trainable.component import Component, Needs
from trainable.gradients.base import Losses, Weighting
from trainable.tasks import TaskName


class UncertaintyGradients(Component):
    """Losses divided by variances that are learned with the model (Kendall et al. 2018).

    Source: equation 10 of the paper with s = log sigma^2, learned from 0: the sum over tasks of
    exp(-s) L / 2 + s / 2. Deviation: factor 1/2 for cross entropies, too. This moves s, but the
    weight settles at the same 1 / (2 L).
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["uncertainty"] = "uncertainty"

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return LearnedUncertainty(tasks)


class LearnedUncertainty(Weighting):
    """Losses divided by learned variances; see `UncertaintyGradients`.

    Args:
        tasks: The tasks of the run; a step may have any of them.
    """

    def __init__(self, tasks: tuple[TaskName, ...]) -> None:
        # One parameter each: the optimizer must leave alone those of tasks without a loss.
        self.log_variances = nn.ParameterDict({task: torch.zeros(()) for task in tasks})
        self.module = self.log_variances

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        logs = {task: self.log_variances[task] for task in losses}
        parts = [((-logs[task]).exp() * loss + logs[task]) / 2 for task, loss in losses.items()]
        return torch.stack(parts).sum()
