"""Methods, gradients and losses for the tests of gradient methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.course import TASK_NAMES
from trainable.component import Component
from trainable.gradients.base import Losses, Weighting

Matrix = tuple[int, int, int]  # tasks, width, seed
ANY = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**31))  # also dependent rows
INDEPENDENT = st.tuples(st.integers(1, 5), st.integers(8, 12), st.integers(0, 2**31))
# Losses of three tasks at some steps.
HISTORY = st.lists(st.tuples(*[st.floats(0.01, 10)] * 3), min_size=1, max_size=12)


def members(family: Any) -> list[Any]:
    """Return one component of each kind, such that all of it shows within a few steps."""
    special = {"dwa": {"window": 2}, "gradvac": {"beta": 0.5}}
    return [
        kind(**special.get(kind.model_fields["kind"].default, {}))
        for kind in get_args(get_args(family)[0])
    ]


def kind_of(config: Component) -> str:
    return "-".join(str(value) for value in config.model_dump().values())


def random_gradients(m: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m, width, dtype=torch.float64, generator=generator)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same_update(gradients: Tensor, weights: Tensor, expected: Tensor) -> None:
    """Compare updates, relative to the largest gradient."""
    torch.testing.assert_close(
        weights @ gradients, expected, rtol=1e-6, atol=1e-6 * float(gradients.norm(dim=1).max())
    )


def awkward_grams() -> dict[str, Tensor]:
    """Gram matrices that break formulas."""
    two = random_gradients(2, 6, seed=2)
    rows: dict[str, Any] = {
        "zero": torch.zeros(3, 2, dtype=torch.float64),
        "one zero": torch.cat([two, torch.zeros(1, 6, dtype=torch.float64)]),
        "equal": two[:1].expand(3, -1),
        "opposite": torch.stack([two[0], -two[0]]),
        "balanced": torch.stack([two[0], two[1], -two[0] - two[1]]),
        "more tasks than width": random_gradients(4, 2, seed=3),
        "lengths far apart": random_gradients(3, 6, seed=4)
        * torch.tensor([[1e-20], [1.0], [1e15]], dtype=torch.float64),
        "opposite, lengths far apart": torch.stack([1e-18 * two[0], -1e12 * two[0]]),
        "tiny": 1e-22 * random_gradients(4, 2, seed=6),
        "eight tasks": random_gradients(8, 5, seed=7),
    }
    grams = {name: matrix @ matrix.T for name, matrix in rows.items()}
    # As a GPU gives it: rounded, so that it has a negative eigenvalue.
    same = random_gradients(1, 2000, seed=8).float().expand(4, -1)
    rounded = (same + 1e-7 * random_gradients(4, 2000, seed=9).float()).mul(1 / 3)
    grams["rounded"] = (rounded @ rounded.T).double() - 1e-4 * torch.eye(4, dtype=torch.float64)
    # Products of small numbers that are too small for float32, their sums are not.
    grams["underflow"] = torch.tensor([[0.0, -1e-30], [-1e-30, 1.0]], dtype=torch.float64)
    return grams


def as_losses(values: tuple[float, ...] | list[float]) -> Losses:
    return {
        task: torch.tensor(value, requires_grad=True)
        for task, value in zip(TASK_NAMES, values, strict=False)
    }


def factors_of(losses: Losses, total: Tensor) -> Tensor:
    """Return the derivative of the total by each loss, (n_tasks,)."""
    total.backward()  # type: ignore[no-untyped-call]
    return torch.stack([loss.grad for loss in losses.values() if loss.grad is not None])


def factors_over(weighting: Weighting, history: Sequence[tuple[float, ...]]) -> list[Tensor]:
    """Return the factors of the losses at each step."""
    result = []
    for values in history:
        losses = as_losses(values)
        result.append(factors_of(losses, weighting.total(losses)))
    return result
