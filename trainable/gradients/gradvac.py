"""GradVac, gradient vaccine: gradients are turned until their cosines reach the usual ones.

Source: Wang et al. 2021 (arXiv:2010.05874).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainable.component import Component, FloatRange, Needs
from trainable.gradients.base import State, Surgery, Weighting, Weights
from trainable.tasks import TaskName

_LARGEST_GOAL = 1 - 1e-6  # reaching a cosine of 1 would take an infinitely long step


class GradVac(Component):
    """Gradient vaccine (Wang et al. 2021, arXiv:2010.05874): surgery towards usual cosines.

    Attributes:
        beta: Share of a step's cosine in the next target; the paper has 0.01.
    """

    needs: ClassVar[Needs] = Needs(tasks=2)
    kind: Literal["gradvac"] = "gradvac"
    beta: Annotated[float, Field(ge=0, le=1), FloatRange(1e-3, 0.5, log=True)] = 0.01

    def build(self, tasks: tuple[TaskName, ...]) -> Weighting:
        """Return the weighting for these tasks."""
        return Vaccine(tasks, self.beta)


def gradvac_weights(
    gram: Tensor, target: Tensor, beta: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the weights of gradient vaccine's update, and the next target cosines.

    Source: algorithm 1 of the paper: where the cosine between g_i, as changed so far, and g_j is
    below its target, g_i gets as much of g_j as it needs to reach the target; then the target moves
    towards the cosine that was found. Targets start at zero. Deviation: a pair of tasks has one
    target for the whole shared network instead of one for each layer; a target above 1 - 1e-6
    counts as 1 - 1e-6.

    Args:
        gram: (m, m) float64.
        target: (m, m) float64 target cosines; row i is for changes of g_i. It is not written to.
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


class Vaccine(Surgery):
    """GradVac and its target cosines, one for each ordered pair of the run's tasks.

    Args:
        tasks: The tasks of the run; a step may have any of them.
        beta: Share of a new cosine in the next target.
    """

    def __init__(self, tasks: tuple[TaskName, ...], beta: float) -> None:
        super().__init__()
        self.tasks = tasks
        self.beta = beta
        self.target = torch.zeros(len(tasks), len(tasks), dtype=torch.float64)

    def operate(
        self, tasks: tuple[TaskName, ...], gram: Tensor, own: Tensor, generator: torch.Generator
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
