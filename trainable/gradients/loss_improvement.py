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
    weights at the first step. A step without a batch of some task has the softmax over the others,
    and L_{t-1} is the task's loss at its last step. Improvements as published are mostly the noise
    of the largest loss. With `standardised` each task's improvements are in units of their usual
    size, which the paper leaves to future work.

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
        tasks: The tasks of the run; a step may have any of them.
        standardised: Whether a task's improvements are divided by the root of the moving mean of
            their squares, as in `batch_orders.by_improvement`.
    """

    _MEMORY = 0.9  # of the moving mean; no standardised improvement is above sqrt(1 / (1 - 0.9))

    def __init__(self, tasks: tuple[TaskName, ...], standardised: bool) -> None:
        self.module = nn.Module()
        self.tasks = tasks
        self.standardised = standardised
        self.last: dict[TaskName, Tensor] = {}  # float32, on the device of the losses
        # Of the improvements; biased towards zero.
        self.mean_squares: dict[TaskName, Tensor] = {task: torch.zeros(()) for task in tasks}
        self.n_improvements: dict[TaskName, int] = dict.fromkeys(tasks, 0)

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        there = [task for task in self.tasks if task in losses]
        improvements = [self._improvement(task, losses[task].detach().float()) for task in there]
        stacked = torch.stack([losses[task] for task in there])
        return (torch.stack(improvements).softmax(0) * stacked).sum()

    def _improvement(self, task: TaskName, loss: Tensor) -> Tensor:
        last = self.last.get(task)
        self.last[task] = loss
        if last is None:
            return torch.zeros_like(loss)
        improvement = last.to(loss.device) - loss
        return self._standardise(task, improvement) if self.standardised else improvement

    def _standardise(self, task: TaskName, improvement: Tensor) -> Tensor:
        before = self.mean_squares[task].to(improvement.device)
        mean_square = before + (1 - self._MEMORY) * (improvement**2 - before)
        self.mean_squares[task] = mean_square
        self.n_improvements[task] += 1
        scale = (mean_square / (1 - self._MEMORY ** self.n_improvements[task])).sqrt()
        return torch.where(scale > 0, improvement / scale, 0.0)

    def state(self) -> State:
        """See `Weighting`."""
        return {
            "last": {task: float(loss) for task, loss in self.last.items()},
            "mean_squares": {task: float(own) for task, own in self.mean_squares.items()},
            "n_improvements": dict(self.n_improvements),
        }

    def load(self, state: State) -> None:
        """See `Weighting`."""
        self.last = {task: torch.tensor(loss) for task, loss in state["last"].items()}
        self.mean_squares = {t: torch.tensor(own) for t, own in state["mean_squares"].items()}
        self.n_improvements = dict(state["n_improvements"])
