"""What a batch order is at run time: which tasks give a batch at the next step, and of what size.

Every other file here holds one or two orders: their configurations, which name the papers, and then
what these build. `family` is the union of the configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field

from trainable.component import Choice, PriorWeights
from trainable.tasks import TaskName

State = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What one optimizer step trains on.

    Attributes:
        sizes: Task -> number of examples, at least 1.
        loss_scales: Task -> factor of its loss, for the same tasks.
    """

    sizes: dict[TaskName, int]
    loss_scales: dict[TaskName, float]


class BatchOrder(Protocol):
    """What the training loop needs from a batch order. The defaults fit most orders.

    Attributes:
        with_replacement: Whether examples are drawn with replacement instead of pass by pass.
        needs_losses: Whether the loop must call `observe`. Then every step waits for the device.
    """

    with_replacement: bool = False
    needs_losses: bool = False

    def next(self, progress: float) -> Step:
        """Return the next step, given the share in [0, 1) of the full budget that is spent."""

    def observe(self, losses: Mapping[TaskName, float]) -> None:
        """Take note of the losses of the step that was just made: task -> mean over its batch."""
        return  # most orders do not look at losses

    def state(self) -> State:
        """Return what `load` needs to go on from here, as plain JSON values."""
        return {}

    def load(self, state: State) -> None:
        """Go on from the saved state of an order with the same configuration, tasks and seed."""
        return  # an order that is the same at every step has none


def unscaled(sizes: dict[TaskName, int]) -> Step:
    """Return a step that leaves the losses as they are."""
    return Step(sizes, dict.fromkeys(sizes, 1.0))


BATCH_SIZES = (4, 8, 16, 32, 64)  # what a search tries
BatchSize = Annotated[
    int, Field(ge=1, le=4096), Choice(BATCH_SIZES), PriorWeights({8: 2, 16: 4, 32: 4})
]
