"""Gradient combinations: how the tasks' losses or gradients become one update.

One family is for batch orders with one task a step, where there are factors of losses only; the
other, for those with every task at every step, has methods on gradients, too. What they do at run
time is in `combination` and `surgery`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainable.gradients.aligned_mtl import AlignedMTL
from trainable.gradients.cagrad import CAGrad
from trainable.gradients.gradvac import GradVac
from trainable.gradients.imtl_g import IMTLG
from trainable.gradients.loss_history import (
    DynamicWeightAverage,
    LossImprovement,
)
from trainable.gradients.loss_weights import (
    PlainGradients,
    UncertaintyGradients,
    WeightedGradients,
)
from trainable.gradients.mgda import MGDA
from trainable.gradients.nash_mtl import NashMTL
from trainable.gradients.pcgrad import PCGrad, PCGradTseng

# With one task a step there is no gradient to compare with, nor a loss. Left are factors that are
# fixed, or that each task earns with its own losses over many steps: learned variances, windows.
ScalarGradients = Annotated[
    PlainGradients | WeightedGradients | UncertaintyGradients | DynamicWeightAverage,
    Field(discriminator="kind"),
]
Gradients = Annotated[
    PlainGradients
    | WeightedGradients
    | LossImprovement
    | UncertaintyGradients
    | DynamicWeightAverage
    | PCGrad
    | PCGradTseng
    | GradVac
    | MGDA
    | CAGrad
    | IMTLG
    | AlignedMTL
    | NashMTL,
    Field(discriminator="kind"),
]
