from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search.planning.plan import Plan
from spaces.space import Space
from trainable.component import Value

MakePlan = Callable[..., Plan]


@pytest.mark.parametrize(("kind", "copies"), [("full", 5), ("weights", 2)])
def test_the_largest_checkpoint_is_that_of_the_largest_run_of_the_space(
    plan_of: MakePlan, kind: str, copies: int
) -> None:
    """An encoder for each of three tasks: weights, average, and AMSGrad's three moments."""
    plan = plan_of(space="full", checkpoint=kind)
    assert plan.largest_checkpoint_bytes == 3 * copies * 4 * plan.n_parameters
    assert plan.checkpoint_bytes == (3 if kind == "full" else 1) * 4 * plan.n_parameters
    fixed: dict[str, Value] = {"encoder.sharing": "shared", "multitask.averaging": "none"}
    assert isinstance(plan.space, Space)
    narrower = replace(plan, space=replace(plan.space, fixed=fixed))
    assert narrower.largest_checkpoint_bytes == (copies - 1) * 4 * plan.n_parameters
