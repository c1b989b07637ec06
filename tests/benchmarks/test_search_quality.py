from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.plan import Plan
from search.proposals import draw_params
from tests.benchmarks.families import UNITS, Family, Surrogate, family, read_recorded, scaled
from tests.benchmarks.replay import CONTESTANTS, any_plan, replay
from tests.benchmarks.search_quality import budget_share, holm, verdicts
from trainable.component import Choice


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


def test_a_forest_finds_what_matters_and_repeats_itself() -> None:
    own = family("parallel")
    curve_of = own.problem(0)
    trials = [
        {"params": params, "runs": [curve_of(params)._asdict()] * 2} for params in drawn(own, 150)
    ]
    surrogate = Surrogate(own.space, trials)
    assert len(surrogate.explained) == UNITS + 1
    assert min(surrogate.explained) > 0.6
    params = draw_params(own.space.params(), random.Random(1))
    assert surrogate.curve(params) == surrogate.curve(dict(params))
    others = [trial["runs"] for trial in (*trials[7:], *trials[:7])]
    shuffled = [{**trial, "runs": runs} for trial, runs in zip(trials, others, strict=True)]
    assert max(Surrogate(own.space, shuffled).explained) < 0.4


def test_luck_of_the_run_that_a_search_sees_is_not_in_what_it_is_worth() -> None:
    own, draw = family("parallel"), random.Random(2)
    curve_of = own.problem(0)

    def trials(luck: int) -> list[dict[str, Any]]:
        found = []
        for params in drawn(own, 40):
            # On a grid, so that the mean of both runs is the same to the last bit.
            scores = [round(score * 1024) / 1024 for score in curve_of(params).scores]
            shift = luck * draw.randint(1, 64) / 1024
            runs = [
                {"scores": [score + by for score in scores], "worth": scores[-1] + by}
                for by in (shift, -shift)
            ]
            found.append({"params": params, "runs": runs})
        return found

    sure, lucky = Surrogate(own.space, trials(luck=0)), Surrogate(own.space, trials(luck=1))
    signs = set()
    for _ in range(20):
        params = draw_params(own.space.params(), draw)
        one, other = sure.curve(params), lucky.curve(params)
        shifts = np.subtract(other.scores, one.scores)
        assert np.allclose(shifts, shifts[0])
        assert 1 / 1024 - 1e-9 <= abs(shifts[0]) <= 64 / 1024 + 1e-9
        assert other.worth - one.worth == pytest.approx(-shifts[0])
        signs.add(shifts[0] > 0)
    assert signs == {False, True}


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


@pytest.mark.slow
def test_what_is_recorded_is_of_the_space_and_can_be_learnt_from() -> None:
    own, trials = family("recorded"), read_recorded()
    assert len(trials) >= 150
    assert len({json.dumps(trial["params"], sort_keys=True) for trial in trials}) == len(trials)
    domains = {param.name: param.domain for param in own.space.params()}
    for trial in trials:
        for name, value in trial["params"].items():
            domain = domains[name]
            in_range = (
                value in domain.values
                if isinstance(domain, Choice)
                else domain.low <= value <= domain.high
            )
            assert in_range, f"{name}: {value}"
        for run in trial["runs"]:
            assert len(run["scores"]) == UNITS
            assert all(-1 / 3 <= score <= 1 for score in (*run["scores"], run["worth"]))
    # One that always says the same may do so with any seed.
    alike = [trial for trial in trials if trial["runs"][0] == trial["runs"][1]]
    assert len(alike) < 0.05 * len(trials)
    assert min(Surrogate(own.space, trials).explained) > 0.4
