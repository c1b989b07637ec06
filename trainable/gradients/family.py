"""The gradient methods that a configuration can choose from, as two unions.

`Gradients` is for batch orders with all tasks in every step. `ScalarGradients` is for batch orders
with one task a step, where only factors of the losses make sense. A new method is one new file and
its entry here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainable.component import PriorWeights
from trainable.gradients.aligned_mtl import AlignedMTL
from trainable.gradients.cagrad import CAGrad
from trainable.gradients.dynamic_weight_average import DynamicWeightAverage
from trainable.gradients.gradvac import GradVac
from trainable.gradients.imtl_g import IMTLG
from trainable.gradients.loss_improvement import LossImprovement
from trainable.gradients.loss_weights import PlainGradients, WeightedGradients
from trainable.gradients.mgda import MGDA
from trainable.gradients.nash_mtl import NashMTL
from trainable.gradients.pcgrad import PCGrad, PCGradTseng
from trainable.gradients.uncertainty import UncertaintyGradients

# With one task a step there is no other gradient or loss of the same step to compare with. What is
# left are factors that are fixed, or that follow from a task's own losses over many steps.
ScalarGradients = Annotated[
    PlainGradients | WeightedGradients | UncertaintyGradients | DynamicWeightAverage,
    Field(discriminator="kind"),
    PriorWeights({"plain": 4, "weighted": 2}),
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
    PriorWeights({"plain": 8, "weighted": 4, "uncertainty": 2, "pcgrad": 2}),
]
