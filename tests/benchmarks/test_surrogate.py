from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from search.searchers.base import draw_params
from spaces.space import Space
from tests.benchmarks.curve import UNITS, CurveOf, Params
from tests.benchmarks.families import family
from tests.benchmarks.surrogate import Surrogate, runs_of

N = 80


@pytest.fixture(scope="module")
def space() -> Space:
    return family("parallel").space


@pytest.fixture(scope="module")
def drawn(space: Space) -> list[Params]:
    generator = random.Random(0)
    return [draw_params(space.params(), generator) for _ in range(N)]


def trials(drawn: list[Params], scores: np.ndarray) -> list[dict[str, Any]]:
    """Return trials with flat curves: (N, 2) scores of their two runs, or (N, 1)."""
    return [
        {"params": p, "runs": [{"scores": [float(s)] * UNITS, "worth": float(s)} for s in both]}
        for p, both in zip(drawn, scores, strict=True)
    ]


def test_a_curve_is_straight_between_units_that_were_scored() -> None:
    run = {"scores": [0.0, None, None, 0.3, None, 0.1, None, None, 0.4], "worth": 0.7}
    (found,) = runs_of([{"runs": [run, run]}])
    assert found[0] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 0.4, 0.7])


def final_of(curve_of: CurveOf, asked: list[Params]) -> tuple[np.ndarray, np.ndarray]:
    """Return the final score and the worth of each configuration."""
    curves = [curve_of(params) for params in asked]
    return np.array([c.scores[-1] for c in curves]), np.array([c.worth for c in curves])


def test_a_forest_finds_what_matters_and_repeats_itself(space: Space, drawn: list[Params]) -> None:
    made_up = family("parallel").problem(0)
    own = [{"params": params, "runs": [made_up(params)._asdict()] * 2} for params in drawn]
    surrogate = Surrogate(space, own)
    assert len(surrogate.explained) == UNITS + 1
    assert min(surrogate.explained) > 0.5
    params = draw_params(space.params(), random.Random(1))
    curve = surrogate.problem(3)(params)
    assert curve == surrogate.problem(3)(dict(reversed(params.items())))
    assert curve != surrogate.problem(4)(params)
    others = [trial["runs"] for trial in (*own[7:], *own[:7])]
    shuffled = [{**trial, "runs": runs} for trial, runs in zip(own, others, strict=True)]
    assert max(Surrogate(space, shuffled).explained) < 0.4


def test_noise_of_the_run_that_a_search_sees_is_not_in_its_worth(
    space: Space, drawn: list[Params]
) -> None:
    draw = np.random.default_rng(0)
    asked = [draw_params(space.params(), random.Random(k)) for k in range(300)]

    def agreement(scores: np.ndarray) -> float:
        seen, worth = final_of(Surrogate(space, trials(drawn, scores)).problem(0), asked)
        return float(np.corrcoef(seen, worth)[0, 1])

    noise, little = draw.normal(size=(N, 1)), 0.01 * draw.normal(size=(N, 1))
    assert abs(agreement(np.hstack([little + noise, little - noise]))) < 0.15
    assert agreement(np.hstack([noise, noise])) > 0.999


def test_what_two_runs_share_is_shared_by_neighbours_as_far_as_the_forest_says(
    space: Space, drawn: list[Params]
) -> None:
    draw = np.random.default_rng(1)
    own, noise = draw.normal(size=(N, 1)), 0.5 * draw.normal(size=(N, 2))
    surrogate = Surrogate(space, trials(drawn, own + noise))
    params = drawn[0]
    near = params | {"encoder.dropout": min(0.3, float(params["encoder.dropout"]) + 0.02)}
    found = np.array([final_of(surrogate.problem(s), [params, near, drawn[1]]) for s in range(300)])
    seen, worth = found[:, 0], found[:, 1]  # (seeds, configurations)
    expected = float(np.mean(surrogate.shared[:, -1] ** 2))
    assert np.mean(worth.var(axis=0)) == pytest.approx(expected, rel=0.25)
    for k, other in ((1, near), (2, drawn[1])):
        covariance = np.cov(seen[:, 0], worth[:, k])[0, 1]
        alike = surrogate.likeness(params, other)
        assert covariance == pytest.approx(alike * expected, abs=0.2 * expected)
    assert surrogate.likeness(params, near) > 0.5 > surrogate.likeness(params, drawn[1])
    assert surrogate.likeness(params, params) == 1.0


def test_both_parts_are_as_wide_as_what_they_are_drawn_from(
    space: Space, drawn: list[Params]
) -> None:
    draw = np.random.default_rng(2)
    scores = draw.normal(size=(N, 1)) + 0.5 * draw.normal(size=(N, 2))
    surrogate = Surrogate(space, trials(drawn, scores))
    both = surrogate.shared[:, -1].var() + (surrogate.own[:, -1] ** 2).mean()
    assert both == pytest.approx(surrogate.residuals[..., -1].var(), rel=0.05)
    assert surrogate.own[:, -1].std() == pytest.approx(0.5, rel=0.25)


def test_noise_is_that_of_trials_that_score_about_the_same(
    space: Space, drawn: list[Params]
) -> None:
    draw = np.random.default_rng(3)
    lr = np.array([np.log(float(params["multitask.optimization.lr"])) for params in drawn])
    level = (lr - lr.mean()) / lr.std()
    noise = np.where(level > 0, 0.01, 0.3)[:, None] * draw.normal(size=(N, 2))
    curve_of = Surrogate(space, trials(drawn, level[:, None] + noise)).problem(0)
    seen, worth = final_of(
        curve_of, [draw_params(space.params(), random.Random(k)) for k in range(200)]
    )
    spread = np.abs(seen - worth)
    assert spread[worth > 0.7].mean() < 0.2 * spread[worth < -0.7].mean()


def test_random_configurations_score_as_recorded_ones(space: Space, drawn: list[Params]) -> None:
    scores = np.repeat(np.random.default_rng(4).beta(5, 2, (N, 1)), 2, axis=1)
    surrogate = Surrogate(space, trials(drawn, scores))
    asked = [draw_params(space.params(), random.Random(1000 + k)) for k in range(40)]
    found = [final_of(surrogate.problem(seed), asked)[1] for seed in range(10)]
    shares = [0.1, 0.5, 0.9]
    assert np.quantile(found, shares) == pytest.approx(np.quantile(scores, shares), abs=0.07)
    assert np.max(found) < 1.1
