"""Learning-rate schedules: the warm-up, and what follows it until the end of the full budget."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from trainable.component import Component, FloatRange, PriorWeights


def warmup_factor(progress: float, warmup: float) -> float:
    """Return the factor in [0, 1] by which the warm-up lowers a learning rate.

    It rises in a straight line from 0 to 1 and stays there.

    Args:
        progress: Share of the full budget that is spent, in [0, 1].
        warmup: Share of it that the warm-up takes, in [0, 1).
    """
    return progress / warmup if progress < warmup else 1.0


class LinearSchedule(Component):
    """In a straight line to zero."""

    kind: Literal["linear"] = "linear"

    def factor(self, elapsed: float) -> float:
        """Return the factor of the peak learning rate, given the elapsed share in [0, 1]."""
        return 1.0 - elapsed


class ConstantSchedule(Component):
    """The same to the end."""

    kind: Literal["constant"] = "constant"

    def factor(self, elapsed: float) -> float:
        """Return the factor of the peak learning rate, given the elapsed share in [0, 1]."""
        return 1.0


class CosineSchedule(Component):
    """Half a cosine wave to zero (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5)."""

    kind: Literal["cosine"] = "cosine"

    def factor(self, elapsed: float) -> float:
        """Return the factor of the peak learning rate, given the elapsed share in [0, 1]."""
        return (1.0 + math.cos(math.pi * elapsed)) / 2


class StepSchedule(Component):
    """Times gamma after each of equal periods, as torch's StepLR.

    Source: "BERT++", model F: step 5 and gamma 0.1 in 10 epochs, an `every` of 0.5. Deviation: a
    period is a share of the budget after the warm-up, so that a trial that is cut early ran the
    same schedule as one that was not.

    Attributes:
        every: Length of a period.
        gamma: Factor at its end.
    """

    kind: Literal["step"] = "step"
    every: Annotated[float, Field(ge=0.01, le=1), FloatRange(0.2, 0.8)] = 0.5
    gamma: Annotated[float, Field(gt=0, le=1), FloatRange(0.05, 0.5, log=True)] = 0.1

    def factor(self, elapsed: float) -> float:
        """Return the factor of the peak learning rate, given the elapsed share in [0, 1]."""
        return self.gamma ** math.floor(elapsed / self.every)


Schedule = Annotated[
    LinearSchedule | ConstantSchedule | CosineSchedule | StepSchedule,
    Field(discriminator="kind"),
    PriorWeights({"linear": 4, "cosine": 3}),
]
