"""What a gradient combination is at run time, and those that weigh the tasks' losses.

Their components, with the hyperparameters and the search ranges, are in `gradients`; those that
work on gradients are in `surgery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainable.tasks import TrainName

State = dict[str, Any]
Losses = dict[TrainName, Tensor]


@dataclass(frozen=True)
class Weights:
    """Factors of the tasks' gradients in one update.

    Attributes:
        shared: (m,) float64, of the gradients of parameters that tasks share.
        own: (m,) float64, of each task's gradient of its own parameters.
    """

    shared: Tensor
    own: Tensor


class Combination(Protocol):
    """What the training step needs of a combination; what most do not need has a default.

    Attributes:
        needs_gram: Whether each task needs a backward of its own, its gradients kept apart.
        module: Learned parameters, if any: their values are in its state dict, not in `state`.
    """

    needs_gram: bool = False
    module: nn.Module

    def total(self, losses: Losses) -> Tensor:
        """Return the scalar to call backward on, from the mean losses of the step's tasks.

        Called once a step, or, with `needs_gram`, once for each of its tasks.
        """
        ...

    def weights(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """Return the factors of gradients that were kept apart.

        Args:
            tasks: The step's m tasks.
            gram: (m, m) float64 on the CPU, inner products of the shared gradients.
            own: (m,) float64, squared lengths of the gradients of each task's own parameters.
            generator: Makes every random draw.
        """
        return Weights(torch.ones_like(own), torch.ones_like(own))

    def state(self) -> State:
        """Return what `load` needs to go on from here, as plain JSON values."""
        return {}

    def load(self, state: State) -> None:
        """Go on from the saved state of a combination that was built alike."""
        return  # one that is the same at every step has none


class FixedFactors(Combination):
    """A weighted sum of the losses.

    Args:
        factors: Task -> factor of its loss.
    """

    def __init__(self, factors: dict[TrainName, float]) -> None:
        self.module = nn.Module()
        self.factors = factors

    def total(self, losses: Losses) -> Tensor:
        """See `Combination`."""
        return torch.stack([loss * self.factors[task] for task, loss in losses.items()]).sum()


class ImprovementSoftmax(Combination):
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
        """See `Combination`."""
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
        """See `Combination`."""
        return {
            "last": None if self.last is None else self.last.tolist(),
            "mean_squares": self.mean_squares.tolist(),
            "n_improvements": self.n_improvements,
        }

    def load(self, state: State) -> None:
        """See `Combination`."""
        self.last = None if state["last"] is None else torch.tensor(state["last"])
        self.mean_squares = torch.tensor(state["mean_squares"])
        self.n_improvements = int(state["n_improvements"])


class LearnedUncertainty(Combination):
    """Losses divided by variances that are learned with the model.

    Args:
        tasks: The tasks of the run; a step may have any of them.
    """

    def __init__(self, tasks: tuple[TrainName, ...]) -> None:
        # One parameter each: the optimizer must leave alone those of tasks without a loss.
        self.log_variances = nn.ParameterDict({task: torch.zeros(()) for task in tasks})
        self.module = self.log_variances

    def total(self, losses: Losses) -> Tensor:
        """See `Combination`."""
        logs = {task: self.log_variances[task] for task in losses}
        parts = [((-logs[task]).exp() * loss + logs[task]) / 2 for task, loss in losses.items()]
        return torch.stack(parts).sum()


class DynamicAverage(Combination):
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
        """See `Combination`."""
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
        """See `Combination`."""
        return {
            "factors": self.factors,
            "means": dict(self.means),
            "steps": self.steps,
            "counts": dict(self.counts),
            "sums": {task: float(value) for task, value in self.sums.items()},
        }

    def load(self, state: State) -> None:
        """See `Combination`."""
        self.factors, self.means = dict(state["factors"]), dict(state["means"])
        self.steps, self.counts = int(state["steps"]), dict(state["counts"])
        self.sums = {task: torch.tensor(value) for task, value in state["sums"].items()}
