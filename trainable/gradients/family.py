"""Gradient combinations: how the tasks' losses or gradients become one update.

One family is for batch orders with one task a step, where there are factors of losses only; the
other, for those with every task at every step, has methods on gradients, too. What they do at run
time is in `combination` and `surgery`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from trainable.component import Choice, Component, FloatRange, IntRange
from trainable.gradients.base import (
    Combination,
    DynamicAverage,
    FixedFactors,
    ImprovementSoftmax,
    LearnedUncertainty,
)
from trainable.gradients.gram import (
    aligned_mtl_weights,
    cagrad_weights,
    imtl_g_weights,
    mgda_weights,
    nash_mtl_weights,
    pcgrad_weights,
)
from trainable.surgery import GramMethod, TsengProjection, Vaccine
from trainable.tasks import TrainName


class PlainGradients(Component):
    """The sum of the tasks' gradients."""

    kind: Literal["plain"] = "plain"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return FixedFactors(dict.fromkeys(tasks, 1.0))


class WeightedGradients(Component):
    """A weighted sum. Two log-ratios, since only the ratios of three weights mean something.

    The weights are exp(0), exp(log_para), exp(log_sts) for sst, para, sts, scaled to sum to the
    number of tasks, so that AdamW's epsilon and clipping see gradients of the usual size. Natural
    language inference has the weight of sts, whose place it takes.

    Attributes:
        log_para: Logarithm of the weight of para over that of sst.
        log_sts: Logarithm of the weight of sts over that of sst.
    """

    kind: Literal["weighted"] = "weighted"
    log_para: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0
    log_sts: Annotated[float, Field(ge=-10, le=10), FloatRange(-2.0, 2.0)] = 0.0

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        logs: dict[TrainName, float]
        logs = {"sst": 0.0, "para": self.log_para, "sts": self.log_sts, "nli": self.log_sts}
        factors = torch.tensor([logs[task] for task in tasks]).softmax(0) * len(tasks)
        return FixedFactors(dict(zip(tasks, factors.tolist(), strict=True)))


class LossImprovement(Component):
    """Losses weighted by the softmax of their improvements since the last step.

    Source: "BERT Goes to College" (CS224N 2023), equations 4 to 6: w_t = softmax(L_{t-1} - L_t),
    which sums to 1; equal weights at the first step. With `standardised`, each task's improvements
    are in units of their usual size; the paper leaves this to future work. Raw ones are mostly the
    noise of whichever loss is largest.

    Attributes:
        standardised: Whether improvements are divided by their usual size.
    """

    kind: Literal["loss_improvement"] = "loss_improvement"
    standardised: Annotated[bool, Choice((False, True))] = False

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return ImprovementSoftmax(tasks, self.standardised)


class UncertaintyGradients(Component):
    """Losses divided by variances that are learned with the model (Kendall et al. 2018).

    Source: arXiv:1705.07115, equation 10, with s = log sigma^2, learned from 0: the sum over tasks
    of exp(-s) L / 2 + s / 2. Deviation: factor 1/2 for cross entropies, too, which moves s but not
    the weight that it settles at, 1 / (2 L).
    """

    kind: Literal["uncertainty"] = "uncertainty"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return LearnedUncertainty(tasks)


class DynamicWeightAverage(Component):
    """Losses weighted by how slowly they fall, dynamic weight average (Liu et al. 2019).

    Source: arXiv:1803.10704, equation 7: n softmax(r / T) with r the ratio of a task's mean losses
    in the last two epochs; equal weights until there are two. Deviation: windows of steps instead
    of epochs, since the tasks' epochs differ in length and a short run has less than two.

    Attributes:
        temperature: T; larger is nearer to equal weights.
        window: Steps of a window.
    """

    kind: Literal["dwa"] = "dwa"
    temperature: Annotated[float, Field(gt=0, le=100), FloatRange(0.1, 10.0, log=True)] = 2.0
    window: Annotated[int, Field(ge=1), IntRange(10, 200)] = 50

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return DynamicAverage(tasks, self.temperature, self.window)


class PCGrad(Component):
    """Gradient surgery (Yu et al. 2020, arXiv:2001.06782), as in the paper."""

    kind: Literal["pcgrad"] = "pcgrad"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(pcgrad_weights)


class PCGradTseng(Component):
    """Gradient surgery as in WeiChengTseng/Pytorch-PCGrad, which the course's papers used."""

    kind: Literal["pcgrad_tseng"] = "pcgrad_tseng"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return TsengProjection()


class GradVac(Component):
    """Gradient vaccine (Wang et al. 2021, arXiv:2010.05874): surgery towards usual cosines.

    Attributes:
        beta: Share of a step's cosine in the next target; the paper has 0.01.
    """

    kind: Literal["gradvac"] = "gradvac"
    beta: Annotated[float, Field(ge=0, le=1), FloatRange(1e-3, 0.5, log=True)] = 0.01

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return Vaccine(tasks, self.beta)


class MGDA(Component):
    """The shortest vector in the gradients' convex hull (Sener and Koltun 2018)."""

    kind: Literal["mgda"] = "mgda"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: mgda_weights(gram))


class CAGrad(Component):
    """The update near the mean gradient that helps the worst task most (Liu et al. 2021).

    Attributes:
        c: How far from the mean gradient, in units of its length; 0 is the mean.
    """

    kind: Literal["cagrad"] = "cagrad"
    c: Annotated[float, Field(ge=0, lt=1), FloatRange(0.1, 0.9)] = 0.4

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: cagrad_weights(gram, self.c))


class IMTLG(Component):
    """Equal projections on all gradients, IMTL-G (Liu et al. 2021)."""

    kind: Literal["imtl_g"] = "imtl_g"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: imtl_g_weights(gram))


class AlignedMTL(Component):
    """Principal components of the gradients made equally long (Senushkin et al. 2023)."""

    kind: Literal["aligned_mtl"] = "aligned_mtl"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: aligned_mtl_weights(gram))


class NashMTL(Component):
    """The tasks' Nash bargaining solution (Navon et al. 2022, arXiv:2202.01017)."""

    kind: Literal["nash_mtl"] = "nash_mtl"

    def build(self, tasks: tuple[TrainName, ...]) -> Combination:
        """Return the combination for these tasks."""
        return GramMethod(lambda gram, _: nash_mtl_weights(gram))


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
