"""What a gradient method is at run time: a weighting of the tasks' losses or of their gradients.

Every other file here is one method: its configuration, which names the paper, and then what that
configuration builds. `family` is the union of the configurations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainable.tasks import TaskName

State = dict[str, Any]
Losses = dict[TaskName, Tensor]


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
    """What the training step needs from a gradient method. The defaults fit most methods.

    Attributes:
        needs_gram: Whether the step runs a backward pass for each task and keeps the gradients
            apart. Then `total` is called once for each task of the step, with that task's loss
            alone, and `weights` is called after the last backward pass.
        module: Learned parameters, if any: their values are in its state dict, not in `state`.
    """

    needs_gram: bool = False
    module: nn.Module

    def total(self, losses: Losses) -> Tensor:
        """Return the scalar to call backward on, from the mean losses of the step's tasks."""
        ...

    def weights(
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
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
        """Go on from the saved state of a weighting with the same configuration and tasks."""
        return  # a method that is the same at every step has no state


class Surgery(Weighting, ABC):
    """A method that works on the gradients of a step; each task has a backward pass of its own."""

    needs_gram = True

    def __init__(self) -> None:
        self.module = nn.Module()

    def total(self, losses: Losses) -> Tensor:
        """See `Weighting`."""
        return torch.stack(list(losses.values())).sum()

    def weights(
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Weighting`."""
        if not gram.isfinite().all():
            # The run will fail because of its losses, and that message says more than a solver's.
            return Weights(torch.ones_like(own), torch.ones_like(own))
        return self.operate(tasks, gram, own, generator)

    @abstractmethod
    def operate(
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
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
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
    ) -> Weights:
        """See `Surgery`."""
        return Weights(self.method(gram, generator), torch.ones_like(own))
