"""Gradient combinations that keep the tasks' gradients apart and weigh them by their Gram matrix.

The methods themselves are functions in `gramian`; here is what they remember between steps. But for
`TsengProjection`, a task's own parameters (its head) get its own gradient as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainable.gradients.base import Combination, Losses, State, Weights
from trainable.gradients.gram import gradvac_weights, pcgrad_tseng_weights
from trainable.tasks import TrainName


class Surgery(Combination, ABC):
    """A method on the gradients of a step; one backward per task."""

    needs_gram = True

    def __init__(self) -> None:
        self.module = nn.Module()

    def total(self, losses: Losses) -> Tensor:
        """See `Combination`."""
        return torch.stack(list(losses.values())).sum()

    def weights(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Combination`."""
        if not gram.isfinite().all():
            # The run will fail by its losses, which says more than a solver that does.
            return Weights(torch.ones_like(own), torch.ones_like(own))
        return self.operate(tasks, gram, own, generator)

    @abstractmethod
    def operate(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """Return the weights for a finite Gram matrix; see `Combination.weights`."""


class GramMethod(Surgery):
    """A method that looks at nothing but the step's Gram matrix.

    Args:
        method: From the (m, m) Gram matrix, and a generator if it draws, to (m,) weights.
    """

    def __init__(self, method: Callable[[Tensor, torch.Generator], Tensor]) -> None:
        super().__init__()
        self.method = method

    def operate(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Surgery`."""
        return Weights(self.method(gram, generator), torch.ones_like(own))


class TsengProjection(Surgery):
    """PCGrad as in Tseng's implementation, which changes the tasks' own gradients, too."""

    def operate(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Surgery`."""
        return Weights(*pcgrad_tseng_weights(gram, own, generator))


class Vaccine(Surgery):
    """GradVac, with the cosines that it aims at.

    Args:
        tasks: The tasks of the run; a step may have any of them.
        beta: Share of a new cosine in the next target.
    """

    def __init__(self, tasks: tuple[TrainName, ...], beta: float) -> None:
        super().__init__()
        self.tasks = tasks
        self.beta = beta
        self.target = torch.zeros(len(tasks), len(tasks), dtype=torch.float64)

    def operate(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Surgery`."""
        rows = torch.tensor([self.tasks.index(task) for task in tasks])
        block = (rows[:, None], rows)
        weights, self.target[block] = gradvac_weights(
            gram, self.target[block], self.beta, generator
        )
        return Weights(weights, torch.ones_like(own))

    def state(self) -> State:
        """See `Combination`."""
        return {"target": self.target.tolist()}

    def load(self, state: State) -> None:
        """See `Combination`."""
        self.target = torch.tensor(state["target"], dtype=torch.float64)
