"""What a batch order is at run time: which tasks give a batch at the next step, of what size.

Their components, with the hyperparameters and the search ranges, are in `batch_order`; the orders
that draw a task at each step are in `task_sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field

from trainable.component import Choice
from trainable.tasks import TrainName

State = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What one optimizer step trains on.

    Attributes:
        sizes: Task -> number of examples, at least 1.
        loss_scales: Task -> factor of its loss, for the same tasks.
    """

    sizes: dict[TrainName, int]
    loss_scales: dict[TrainName, float]


class BatchOrder(Protocol):
    """What the loop needs of a batch order; what most of them do not need has a default.

    Attributes:
        with_replacement: Whether examples are drawn with replacement instead of pass by pass.
        needs_losses: Whether `observe` must be called, which waits for the device.
    """

    with_replacement: bool = False
    needs_losses: bool = False

    def next(self, progress: float) -> Step:
        """Return the next step, given progress in [0, 1) of the full budget."""

    def observe(self, losses: Mapping[TrainName, float]) -> None:
        """Take note of the step's mean loss of each of its tasks, after the step."""
        return  # most orders do not look at losses

    def state(self) -> State:
        """Return what `load` needs to go on from here, as plain JSON values."""
        return {}

    def load(self, state: State) -> None:
        """Go on from the saved state of an order that was built alike."""
        return  # an order that is the same at every step has none


def unscaled(sizes: dict[TrainName, int]) -> Step:
    """Return a step that leaves the losses as they are."""
    return Step(sizes, dict.fromkeys(sizes, 1.0))


BATCH_SIZES = (4, 8, 16, 32, 64)  # what a search tries


BatchSize = Annotated[int, Field(ge=1, le=4096), Choice(BATCH_SIZES)]
