"""What a gradient combination is at run time, and those that weigh the tasks' losses.

Their components, with the hyperparameters and the search ranges, are in `gradients`; those that
work on gradients are in `surgery`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
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


class Weighting(Protocol):
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


class Surgery(Weighting, ABC):
    """A method on the gradients of a step; one backward per task."""

    needs_gram = True

    def __init__(self) -> None:
        self.module = nn.Module()

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        return torch.stack(list(losses.values())).sum()

    def weights(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Weighting`."""
        if not gram.isfinite().all():
            # The run will fail by its losses, which says more than a solver that does.
            return Weights(torch.ones_like(own), torch.ones_like(own))
        return self.operate(tasks, gram, own, generator)

    @abstractmethod
    def operate(
        self, tasks: tuple[TrainName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """Return the weights for a finite Gram matrix; see `Weighting.weights`."""


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
