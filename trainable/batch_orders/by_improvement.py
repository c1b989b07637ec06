"""Stochastic: one task a step, drawn by how much the tasks' losses fell.

Source: "BERT Goes to College" (CS224N 2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from trainable.batch_orders.base import BatchOrder, BatchSize, State, Step, unscaled
from trainable.component import Choice, Component, Needs
from trainable.gradients.family import ScalarGradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.tasks import TaskName


class Stochastic(Component):
    """One task a step, drawn from the softmax of the tasks' last loss improvements.

    Source: section 3.6 of the paper, equations 4, 5 and 7. Deviations: an improvement is between
    two batches of the task itself, since the losses of tasks that do not train are not computed; it
    fades while the task waits, so that none waits for ever; and it can be standardised, since a
    squared error outweighs a cross entropy by its scale.

    Attributes:
        batch_size: Examples of a step.
        standardised: Whether improvements are divided by their usual size. The paper does not.
        gradients: Scaling of the one gradient of a step.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["stochastic"] = "stochastic"
    batch_size: BatchSize = 16
    standardised: Annotated[bool, Choice((False, True))] = False
    gradients: ScalarGradients = PlainGradients()

    def build(self, sizes: dict[TaskName, int], seed: int) -> BatchOrder:
        """Return the order over tasks with these train set sizes."""
        return ImprovementSampling(tuple(sizes), self.batch_size, self.standardised, seed)


@dataclass
class LossTrack:
    """The losses of one task so far, as `ImprovementSampling` needs them.

    Attributes:
        n_batches: Number of losses.
        loss: The last loss.
        mean_square: Moving mean of the squared improvements, without the correction of its bias.
        improvement: By how much the last loss was lower than the one before, standardised if the
            configuration says so, and halved for every step since.
    """

    n_batches: int = 0
    loss: float = 0.0
    mean_square: float = 0.0
    improvement: float = 0.0


class ImprovementSampling(BatchOrder):
    """One task a step, drawn from the softmax of how much the tasks' losses fell.

    A task's improvement is the loss of its second to last batch minus that of its last batch. Each
    task gives two batches first. No task waits for ever: an improvement halves with every step that
    its task waits, so a task that got worse is soon as likely as one that stood still.

    Args:
        tasks: What can be drawn.
        batch_size: Examples of a step.
        standardised: Whether a task's improvements are divided by the root of the moving mean of
            their squares, which makes losses on different scales comparable.
        seed: Seed of the draws.
    """

    needs_losses = True
    _FADING = 0.5  # of an improvement, for each step that its task waits
    _MEMORY = 0.9  # of the moving mean; no standardised improvement is above sqrt(1 / (1 - 0.9))

    def __init__(
        self, tasks: tuple[TaskName, ...], batch_size: int, standardised: bool, seed: int
    ) -> None:
        self.tasks = tasks
        self.batch_size = batch_size
        self.standardised = standardised
        self.generator = torch.Generator().manual_seed(seed)
        self.tracks = {task: LossTrack() for task in tasks}

    def probabilities(self) -> Tensor:
        """Return the probability of each task at the next step, (n_tasks,) float64."""
        improvements = [self.tracks[task].improvement for task in self.tasks]
        return torch.tensor(improvements, dtype=torch.float64).softmax(0)

    def next(self, progress: float) -> Step:
        """See `BatchOrder`."""
        task = min(self.tasks, key=lambda name: self.tracks[name].n_batches)
        if self.tracks[task].n_batches >= 2:
            drawn = torch.multinomial(self.probabilities(), 1, generator=self.generator)
            task = self.tasks[int(drawn)]
        return unscaled({task: self.batch_size})

    def observe(self, losses: Mapping[TaskName, float]) -> None:
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
