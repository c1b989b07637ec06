"""Gradient Vaccine."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainable.component import Component, FloatRange
from trainable.gradients.base import State, Surgery, Weighting, Weights
from trainable.tasks import TrainName

_LARGEST_GOAL = 1 - 1e-6  # reaching a cosine of 1 would take an infinitely long step


def gradvac_weights(
    gram: Tensor, target: Tensor, beta: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights of gradient vaccine's update, and the next target cosines.

    Source: Wang et al. 2021 (arXiv:2010.05874), algorithm 1: where the cosine of g_i, as it has
    become, and g_j is below its target, so much of g_j is added to g_i that it reaches it; then
    the target moves towards the cosine that was found. Targets start at zero. Deviation: one
    target for the whole shared network, none for each layer; targets above 1 - 1e-6 act as that.

    Args:
        gram: (m, m) float64.
        target: (m, m) float64 target cosines, row i for g_i.
        beta: Share of the new cosine in the next target, in [0, 1].
        generator: Draws the order of the other tasks.

    Returns:
        (m,) float64 weights of the sum of the changed gradients, and the next target.
    """
    m = len(gram)
    norms = gram.diagonal().clamp(min=0).sqrt()
    target = target.clone()
    coefficients = torch.eye(m, dtype=torch.float64)
    for i in range(m):
        others = [j for j in range(m) if j != i]
        for number in torch.randperm(m - 1, generator=generator).tolist():
            j = others[number]
            length = (coefficients[i] @ gram @ coefficients[i]).clamp(min=0).sqrt()
            if length == 0 or norms[j] == 0:
                continue  # no angle between them
            cosine = (coefficients[i] @ gram[:, j] / length / norms[j]).clamp(-1, 1)
            goal = target[i, j].clamp(max=_LARGEST_GOAL)
            if cosine < goal:
                sine, goal_sine = (1 - cosine**2).sqrt(), (1 - goal**2).sqrt()
                excess = (goal * sine - cosine * goal_sine) / goal_sine
                coefficients[i, j] += length / norms[j] * excess
            target[i, j] = (1 - beta) * target[i, j] + beta * cosine
    return coefficients.sum(0), target


class GradVac(Component):
    """Gradient vaccine (Wang et al. 2021, arXiv:2010.05874): surgery towards usual cosines.

    Attributes:
        beta: Share of a step's cosine in the next target; the paper has 0.01.
    """

    kind: Literal["gradvac"] = "gradvac"
    beta: Annotated[float, Field(ge=0, le=1), FloatRange(1e-3, 0.5, log=True)] = 0.01

    def build(self, tasks: tuple[TrainName, ...]) -> Weighting:
        """Return the combination for these tasks."""
        return Vaccine(tasks, self.beta)


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
        """See `Weighting`."""
        return {"target": self.target.tolist()}

    def load(self, state: State) -> None:
        """See `Weighting`."""
        self.target = torch.tensor(state["target"], dtype=torch.float64)
