"""Losses weighted by how much they fell since the last step.

Source: "BERT Goes to College" (CS224N 2023).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainable.component import Choice, Component, Needs
from trainable.gradients.base import Losses, State, Weighting
from trainable.tasks import TaskName


class LossImprovement(Component):
    """Losses weighted by the softmax of their improvements since the last step.

    Source: equations 4 to 6 of the paper: w_t = softmax(L_{t-1} - L_t), which sums to 1; equal
    weights at the first step. Improvements as published are mostly the noise of the largest loss.
    With `standardised` each task's improvements are in units of their usual size, which the paper
    leaves to future work.

    Attributes:
        standardised: Whether improvements are divided by their usual size.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["loss_improvement"] = "loss_improvement"
    standardised: Annotated[bool, Choice((False, True))] = False

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return ImprovementSoftmax(tasks, self.standardised)


class ImprovementSoftmax(Weighting):
    """Losses weighted by the softmax of their improvements since the last step; factors sum to 1.

    Args:
        tasks: The tasks of every step.
        standardised: Whether a task's improvements are divided by the root of the moving mean of
            their squares, as in `batch_orders.by_improvement`.
    """

    _MEMORY = 0.9  # of the moving mean; no standardised improvement is above sqrt(1 / (1 - 0.9))

    def __init__(self, tasks: tuple[TaskName, ...], standardised: bool) -> None:
        self.module = nn.Module()
        self.tasks = tasks
        self.standardised = standardised
        self.last: Tensor | None = None  # (n_tasks,) float32, on the device of the losses
        self.mean_squares = torch.zeros(len(tasks))  # of the improvements; biased towards zero
        self.n_improvements = 0

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        stacked = torch.stack([losses[task] for task in self.tasks])
        return (self._factors(stacked.detach().float()) * stacked).sum()

    def _factors(self, losses: Tensor) -> Tensor:
        last, self.last = self.last, losses
        if last is None:
            return torch.full_like(losses, 1 / len(losses))
        improvements = last.to(losses.device) - losses
        if self.standardised:
            improvements = self._standardise(improvements)
        return improvements.softmax(0)

    def _standardise(self, improvements: Tensor) -> Tensor:
        before = self.mean_squares.to(improvements.device)
        self.mean_squares = before + (1 - self._MEMORY) * (improvements**2 - before)
        self.n_improvements += 1
        scale = (self.mean_squares / (1 - self._MEMORY**self.n_improvements)).sqrt()
        return torch.where(scale > 0, improvements / scale, 0.0)

    def state(self) -> State:
        """See `Weighting`."""
        return {
            "last": None if self.last is None else self.last.tolist(),
            "mean_squares": self.mean_squares.tolist(),
            "n_improvements": self.n_improvements,
        }

    def load(self, state: State) -> None:
        """See `Weighting`."""
        self.last = None if state["last"] is None else torch.tensor(state["last"])
        self.mean_squares = torch.tensor(state["mean_squares"])
        self.n_improvements = int(state["n_improvements"])
