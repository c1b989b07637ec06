from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.planning.plan import Plan
from search.searchers.base import draw_params
from tests.benchmarks.curve import UNITS, scaled
from tests.benchmarks.families import Family, family
from tests.benchmarks.replay import CONTESTANTS, any_plan, replay
from tests.benchmarks.search_quality import budget_share, holm, verdicts


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return any_plan(str(tmp_path_factory.mktemp("plan")))


@pytest.fixture(scope="module", params=["crossing", "parallel"])
def made_up(request: pytest.FixtureRequest) -> Family:
    return family(request.param)


def drawn(own: Family, n: int) -> list[dict[str, Any]]:
    generator = random.Random(0)
    return [draw_params(own.space.params(), generator) for _ in range(n)]


def test_curves_keep_their_order_or_lose_it(made_up: Family) -> None:
    curve_of = made_up.problem(3)
    curves = np.array([curve_of(params).scores for params in drawn(made_up, 200)])
    assert curves.shape == (200, UNITS)
    kept = stats.spearmanr(curves[:, 0], curves[:, -1]).statistic
    assert kept > 0.9 if made_up.name == "parallel" else kept < 0.5


def test_a_seed_is_a_problem(made_up: Family) -> None:
    (params,) = drawn(made_up, 1)
    one = made_up.problem(1)(params)
    assert made_up.problem(1)(dict(reversed(params.items()))) == one
    assert made_up.problem(2)(params) != one


def test_ranges_are_scaled_to_one(made_up: Family) -> None:
    (lr,) = [p for p in made_up.space.params() if p.name == "multitask.optimization.lr"]
    assert scaled(lr, lr.domain.low) == 0.0  # type: ignore[union-attr]
    assert scaled(lr, lr.domain.high) == 1.0  # type: ignore[union-attr]
    assert all(a < b for a, b in pairwise(scaled(lr, 1e-5 * 1.3**k) for k in range(12)))


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_a_search_spends_its_budget_and_no_more(
    plan: Plan, made_up: Family, contestant: str
) -> None:
    found = replay(plan, made_up, contestant, seed=5, budget=45)
    assert len(found.final) == 45
    assert found.final == replay(plan, made_up, contestant, seed=5, budget=45).final
    assert found.n_done <= 45 // UNITS
    assert found.n_trials >= 5
    assert found.final != replay(plan, made_up, contestant, seed=6, budget=45).final


def test_holm_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_share_of_a_budget() -> None:
    steps = np.linspace(0.1, 1.0, 10)
    slow, fast = np.tile(steps / 2, (5, 1)), np.tile(steps, (5, 1))
    assert budget_share(fast, slow) == (0.5, 0.5, 0.5)
    assert budget_share(slow, fast)[0] == float("inf")


def test_verdicts_name_what_is_better_and_bound_what_may_be() -> None:
    draw = np.random.default_rng(0)
    curves = {name: draw.normal(0.5, 0.1, (40, 10)) for name in CONTESTANTS}
    same = curves | dict.fromkeys(list(CONTESTANTS)[1:], curves[next(iter(CONTESTANTS))])
    assert "worse than: none; it is worse than none by more than 0.0000" in verdicts(same)
    better = same | {"random + asha": same["stepwise"] + 0.05}
    assert "worse than: random + asha; it" in verdicts(better)
    assert "by more than 0.0500" in verdicts(better)
