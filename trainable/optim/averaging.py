"""Which weights are evaluated: those of the last step, or an average over the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange, PriorWeights

Rule = Callable[[int, float], float]


class WeightAverage:
    """A running average of parameters. It takes no memory before the first update that counts.

    All methods must be given the same parameters in the same order.

    Args:
        rule: From the number of updates that counted before, and the progress in [0, 1], to the
            share of the newest weights in the average, in [0, 1]. An update with share 0 does not
            count; the first one that counts is copied.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.count = 0
        self.averages: list[Tensor] = []

    @torch.no_grad()
    def update(self, parameters: Sequence[nn.Parameter], progress: float) -> None:
        """Take the parameters in, after a step that ended at this progress of the full budget."""
        share = self.rule(self.count, progress)
        if share == 0:
            return
        newest = [parameter.detach() for parameter in parameters]
        if self.averages:
            torch._foreach_lerp_(self.averages, newest, share)
        else:
            self.averages = [tensor.clone() for tensor in newest]
        self.count += 1

    @contextmanager
    def applied(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """Give the parameters their averages inside a `with`; without one nothing changes."""
        self._swap(parameters)
        try:
            yield
        finally:
            self._swap(parameters)

    def adopt(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give the parameters their averages for good, and begin anew."""
        self._swap(parameters)
        self.count, self.averages = 0, []

    def _swap(self, parameters: Sequence[nn.Parameter]) -> None:
        """Exchange parameters and averages, without a copy."""
        if self.averages:
            for i, parameter in enumerate(parameters):
                parameter.data, self.averages[i] = self.averages[i], parameter.data

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state: number of the parameter -> its average."""
        return {str(i): average for i, average in enumerate(self.averages)}

    def state(self) -> dict[str, int]:
        """Return the rest of the state, as plain JSON values."""
        return {"count": self.count}

    def load(self, tensors: dict[str, Tensor], state: dict[str, int]) -> None:
        """Go on from a saved state; the tensors are copied, on the parameters' device.

        Those of a mapped file lie anywhere in it. The averages become parameters, and a matrix
        product of one that is not aligned may round differently.
        """
        self.count = int(state["count"])
        self.averages = [tensors[str(i)].clone() for i in range(len(tensors))]


def _no_share(count: int, progress: float) -> float:
    return 0.0


def _exponential_share(decay: float, count: int, progress: float) -> float:
    return 1.0 - min(decay, (1 + count) / (10 + count))


def _equal_share(start: float, count: int, progress: float) -> float:
    return 1.0 / (count + 1) if progress >= start else 0.0


class NoAveraging(Component):
    """The weights of the last step."""

    kind: Literal["none"] = "none"

    def build(self) -> WeightAverage:
        """Return an average that stays empty."""
        return WeightAverage(_no_share)


class EmaAveraging(Component):
    """An exponential moving average of the weights.

    Source: Kingma and Ba 2015 (arXiv:1412.6980), section 7.2. Deviation: the average starts at the
    weights of the first step instead of a zero whose bias is corrected; and update t keeps
    min(decay, (1 + t) / (10 + t)) of it, as `num_updates` does in TensorFlow's
    ExponentialMovingAverage, so that the first weights are soon forgotten.

    Attributes:
        decay: Share of the average that a late step keeps.
    """

    kind: Literal["ema"] = "ema"
    decay: Annotated[float, Field(ge=0, lt=1), Choice((0.9, 0.99, 0.999))] = 0.99

    def build(self) -> WeightAverage:
        """Return the empty average."""
        return WeightAverage(partial(_exponential_share, self.decay))


class SwaAveraging(Component):
    """The equal average of the weights of all steps in the last part of the budget.

    Source: Izmailov et al. 2018 (arXiv:1803.05407), algorithm 1. Deviation: every step counts
    instead of every epoch, and the learning rate follows its schedule. Before `start` the weights
    of the last step are evaluated.

    Attributes:
        start: Fraction of the full budget after which weights are averaged.
    """

    kind: Literal["swa"] = "swa"
    start: Annotated[float, Field(ge=0, lt=1), FloatRange(0.5, 0.9)] = 0.75

    def build(self) -> WeightAverage:
        """Return the empty average."""
        return WeightAverage(partial(_equal_share, self.start))


Averaging = Annotated[
    NoAveraging | EmaAveraging | SwaAveraging,
    Field(discriminator="kind"),
    PriorWeights({"none": 3, "ema": 2}),
]
