"""Batch orders that draw the task of each step: by train set size, or by loss improvement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Choice, Component
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TrainName


@dataclass
class LossTrack:
    """What `ImprovementSampling` knows of a task.

    Attributes:
        n_batches: How many losses it has seen.
        loss: The last of them.
        mean_square: Moving mean of the squares of their falls, not yet bias-corrected.
        improvement: How much the loss fell, standardised if asked for, faded since.
    """

    n_batches: int = 0
    loss: float = 0.0
    mean_square: float = 0.0
    improvement: float = 0.0


class ImprovementSampling(BatchOrder):
    """One task a step, drawn from the softmax of how much the tasks' losses fell of late.

    A task's improvement is the loss of its batch before the last minus that of its last. Each task
    gives two batches first. No task starves: an improvement halves with every step that its task
    waits, so the share of a task that got worse comes back to that of one that stood still.

    Args:
        tasks: What can be drawn.
        batch_size: Examples a step.
        standardised: Whether a task's improvements are divided by the root of the moving mean of
            their squares, which makes losses on different scales comparable.
        seed: Seed of the draws.
    """

    needs_losses = True
    _FADING = 0.5  # of an improvement, for each step that its task waits
    _MEMORY = 0.9  # of the moving mean; no standardised improvement is above sqrt(1 / (1 - 0.9))

    def __init__(
        self, tasks: tuple[TrainName, ...], batch_size: int, standardised: bool, seed: int
    ) -> None:
        self.tasks = tasks
        self.batch_size = batch_size
        self.standardised = standardised
        self.generator = torch.Generator().manual_seed(seed)
        self.tracks = {task: LossTrack() for task in tasks}

    def probabilities(self) -> Tensor:
        """Return (n_tasks,) float64 that sum to 1."""
        improvements = [self.tracks[task].improvement for task in self.tasks]
        return torch.tensor(improvements, dtype=torch.float64).softmax(0)

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        task = min(self.tasks, key=lambda name: self.tracks[name].n_batches)
        if self.tracks[task].n_batches >= 2:
            drawn = torch.multinomial(self.probabilities(), 1, generator=self.generator)
            task = self.tasks[int(drawn)]
        return unscaled({task: self.batch_size})

    def observe(self, losses: Mapping[TrainName, float]) -> None:
        """See `BatchOrder`."""
        for track in self.tracks.values():
            track.improvement *= self._FADING
        for task, loss in losses.items():
            track = self.tracks[task]
            if math.isfinite(loss):  # else the loop fails the run at the end of the unit
                fall, track.loss = track.loss - loss, loss
                if track.n_batches > 0:
                    track.improvement = self._improvement(track, fall)
            track.n_batches += 1

    def _improvement(self, track: LossTrack, fall: float) -> float:
        if not self.standardised:
            return fall
        track.mean_square += (1 - self._MEMORY) * (fall**2 - track.mean_square)
        unbiased = track.mean_square / (1 - self._MEMORY**track.n_batches)
        return fall / math.sqrt(unbiased) if unbiased > 0 else 0.0

    def state(self) -> State:
        """See `BatchOrder`."""
        return {
            "generator": self.generator.get_state().tolist(),
            "tracks": {task: asdict(track) for task, track in self.tracks.items()},
        }

    def load(self, state: State) -> None:
        """See `BatchOrder`."""
        self.generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))
        self.tracks = {task: LossTrack(**state["tracks"][task]) for task in self.tasks}


class Stochastic(Component):
    """One task a step, drawn from the softmax of the tasks' last loss improvements.

    Source: "BERT Goes to College", section 3.6, equations 4, 5 and 7. Deviations: an improvement
    is between two batches of the task itself, since the losses of tasks that do not train are not
    computed; it fades while the task waits, so that none waits for ever; and it can be
    standardised, since a squared error outweighs a cross entropy by its scale.

    Attributes:
        batch_size: Examples of a step.
        standardised: Whether improvements are divided by their usual size; as published, no.
        gradients: Scaling of the one gradient of a step.
    """

    kind: Literal["stochastic"] = "stochastic"
    batch_size: BatchSize = 16
    standardised: Annotated[bool, Choice((False, True))] = False
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TrainName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return ImprovementSampling(tuple(sizes), self.batch_size, self.standardised, seed)
