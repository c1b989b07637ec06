"""Weights of the tasks' losses that follow how the losses fell."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange, IntRange
from trainable.gradients.base import Losses, State, Weighting
from trainable.tasks import TrainName


class LossImprovement(Component):
    """Losses weighted by the softmax of their improvements since the last step.

    Source: "BERT Goes to College" (CS224N 2023), equations 4 to 6: w_t = softmax(L_{t-1} - L_t),
    which sums to 1; equal weights at the first step. With `standardised`, each task's improvements
    are in units of their usual size; the paper leaves this to future work. Raw ones are mostly the
    noise of whichever loss is largest.

    Attributes:
        standardised: Whether improvements are divided by their usual size.
    """

    kind: Literal["loss_improvement"] = "loss_improvement"
    standardised: Annotated[bool, Choice((False, True))] = False

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the combination for these tasks."""
        return ImprovementSoftmax(tasks, self.standardised)


class DynamicWeightAverage(Component):
    """Losses weighted by how slowly they fall, dynamic weight average (Liu et al. 2019).

    Source: arXiv:1803.10704, equation 7: n softmax(r / T) with r the ratio of a task's mean losses
    in the last two epochs; equal weights until there are two. Deviation: windows of steps instead
    of epochs, since the tasks' epochs differ in length and a short run has less than two.

    Attributes:
        temperature: T; larger is nearer to equal weights.
        window: Steps of a window.
    """

    kind: Literal["dwa"] = "dwa"
    temperature: Annotated[float, Field(gt=0, le=100), FloatRange(0.1, 10.0, log=True)] = 2.0
    window: Annotated[int, Field(ge=1), IntRange(10, 200)] = 50

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the combination for these tasks."""
        return DynamicAverage(tasks, self.temperature, self.window)


class ImprovementSoftmax(Weighting):
    """Losses weighted by the softmax of their improvements since the last step; factors sum to 1.

    Args:
        tasks: The tasks of every step.
        standardised: Whether a task's improvements are divided by the root of the moving mean of
            their squares, as in `task_sampling.ImprovementSampling`.
    """

    _MEMORY = 0.9  # of the moving mean; no standardised improvement is above sqrt(1 / (1 - 0.9))

    def __init__(self, tasks: tuple[TrainName, ...], standardised: bool) -> None:
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


class DynamicAverage(Weighting):
    """Losses weighted by how slowly they fell from one window of steps to the next.

    Args:
        tasks: The n tasks of the run; a step may have any of them. Factors sum to n.
        temperature: Larger is nearer to equal factors.
        window: Steps over which losses are averaged.
    """

    def __init__(self, tasks: tuple[TrainName, ...], temperature: float, window: int) -> None:
        self.module = nn.Module()
        self.tasks = tasks
        self.temperature = temperature
        self.window = window
        self.factors: dict[TrainName, float] = dict.fromkeys(tasks, 1.0)
        self.means: dict[TrainName, float] = {}  # of the last window in which a task had a batch
        self._open_window()

    def _open_window(self) -> None:
        self.steps = 0
        self.counts: dict[TrainName, int] = dict.fromkeys(self.tasks, 0)
        self.sums: dict[TrainName, Tensor] = {task: torch.zeros(()) for task in self.tasks}

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        if self.steps == self.window:
            self._close_window()
        self.steps += 1
        for task, loss in losses.items():
            self.counts[task] += 1
            self.sums[task] = self.sums[task].to(loss.device) + loss.detach().float()
        return torch.stack([loss * self.factors[task] for task, loss in losses.items()]).sum()

    def _close_window(self) -> None:
        """Set the factors; here only the numbers leave the device."""
        means = {t: float(self.sums[t]) / n for t, n in self.counts.items() if n}
        ratios = torch.ones(len(self.tasks), dtype=torch.float64)
        for i, task in enumerate(self.tasks):
            if task in means and self.means.get(task, 0.0) > 0:
                ratios[i] = means[task] / self.means[task]
        factors = (ratios / self.temperature).softmax(0) * len(self.tasks)
        self.factors = dict(zip(self.tasks, factors.tolist(), strict=True))
        self.means |= means
        self._open_window()

    def state(self) -> State:
        """See `Weighting`."""
        return {
            "factors": self.factors,
            "means": dict(self.means),
            "steps": self.steps,
            "counts": dict(self.counts),
            "sums": {task: float(value) for task, value in self.sums.items()},
        }

    def load(self, state: State) -> None:
        """See `Weighting`."""
        self.factors, self.means = dict(state["factors"]), dict(state["means"])
        self.steps, self.counts = int(state["steps"]), dict(state["counts"])
        self.sums = {task: torch.tensor(value) for task, value in state["sums"].items()}
