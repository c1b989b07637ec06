"""DWA, dynamic weight average: losses weighted by how slowly they fall.

Source: Liu et al. 2019 (arXiv:1803.10704).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Component, FloatRange, IntRange, Needs
from trainable.gradients.base import Losses, State, Weighting
from trainable.tasks import TaskName


class DynamicWeightAverage(Component):
    """Losses weighted by how slowly they fall, dynamic weight average (Liu et al. 2019).

    Source: equation 7 of the paper: n softmax(r / T) with r the ratio of a task's mean losses in
    the last two epochs; equal weights until there are two. Deviation: windows of steps instead of
    epochs, since the tasks' epochs differ in length and a short run has less than two.

    Attributes:
        temperature: T; larger is nearer to equal weights.
        window: Steps of a window.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["dwa"] = "dwa"
    temperature: Annotated[float, Field(gt=0, le=100), FloatRange(0.1, 10.0, log=True)] = 2.0
    window: Annotated[int, Field(ge=1), IntRange(10, 200)] = 50

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return DynamicAverage(tasks, self.temperature, self.window)


class DynamicAverage(Weighting):
    """Losses weighted by how slowly they fell from one window of steps to the next.

    Args:
        tasks: The n tasks of the run; a step may have any of them. Factors sum to n.
        temperature: Larger is nearer to equal factors.
        window: Steps over which losses are averaged.
    """

    def __init__(self, tasks: tuple[TaskName, ...], temperature: float, window: int) -> None:
        self.module = nn.Module()
        self.tasks = tasks
        self.temperature = temperature
        self.window = window
        self.factors: dict[TaskName, float] = dict.fromkeys(tasks, 1.0)
        self.means: dict[TaskName, float] = {}  # of the last window in which a task had a batch
        self._open_window()

    def _open_window(self) -> None:
        self.steps = 0
        self.counts: dict[TaskName, int] = dict.fromkeys(self.tasks, 0)
        self.sums: dict[TaskName, Tensor] = {task: torch.zeros(()) for task in self.tasks}

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
        """Set the factors of the next window. This waits for the device; other steps do not."""
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
