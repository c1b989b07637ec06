from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights
from scipy import stats

from search.parzen import Group, Parzen, best_candidate
from search.proposals import Params, draw_params
from spaces.domains import to_optuna
from spaces.walk import Param
from trainable.component import Choice, FloatRange, IntRange

PARAMS = [
    Param("width", IntRange(1, 6), ()),
    Param("lr", FloatRange(1e-5, 1e-2, log=True), ()),
    Param("kind", Choice(("cls", "mean", "weighted")), ()),
    Param("loss_weight", FloatRange(-2.0, 3.0), ()),
    Param("steps", IntRange(0, 500), ()),
    Param("tied", Choice((True, False)), ()),
]
SEEDS = st.integers(0, 2**31 - 1)
PARTS = st.lists(st.sampled_from(PARAMS), min_size=1, unique=True)


def drawn(params: list[Param], n: int, seed: int) -> list[Params]:
    draw = random.Random(seed)
    return [draw_params(params, draw) for _ in range(n)]


def as_optuna_has_them(params: list[Param], trials: list[Params]) -> dict[str, NDArray[np.float64]]:
    domains = {param.name: to_optuna(param.domain) for param in params}
    return {
        name: np.array([domain.to_internal_repr(t[name]) for t in trials], dtype=float)
        for name, domain in domains.items()
    }


def optunas(params: list[Param], trials: list[Params]) -> _ParzenEstimator:
    return _ParzenEstimator(
        as_optuna_has_them(params, trials),
        {param.name: to_optuna(param.domain) for param in params},
        _ParzenEstimatorParameters(1.0, True, False, default_weights, True),
    )


@given(params=PARTS, n=st.integers(0, 60), seed=SEEDS)
def test_the_density_is_that_of_optuna(params: list[Param], n: int, seed: int) -> None:
    trials, places = drawn(params, n, seed), drawn(params, 20, seed + 1)
    group = Group(params)
    found = Parzen(group, group.points(trials)).log_density(group.points(places))
    expected = optunas(params, trials).log_pdf(as_optuna_has_them(params, places))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
@pytest.mark.parametrize("param", PARAMS, ids=lambda param: param.name)
def test_draws_are_distributed_as_those_of_optuna(param: Param, n: int) -> None:
    group, trials = Group([param]), drawn([param], n, 0)
    numbers, choices = Parzen(group, group.points(trials)).sample(5000, np.random.default_rng(1))
    found = [group.params(*point)[param.name] for point in zip(numbers, choices, strict=True)]
    theirs = optunas([param], trials).sample(np.random.RandomState(1), 5000)[param.name]
    expected = [to_optuna(param.domain).to_external_repr(value) for value in theirs]
    if isinstance(param.domain, FloatRange):
        assert stats.ks_2samp(found, expected).pvalue > 1e-3
    else:
        values = sorted({*found, *expected}, key=str)
        counts = [[own.count(value) for value in values] for own in (found, expected)]
        often = np.array(counts)[:, np.sum(counts, axis=0) >= 20]
        assert stats.chi2_contingency(often).pvalue > 1e-3


@given(params=PARTS, n=st.integers(0, 30), seed=SEEDS)
def test_draws_are_inside_their_ranges(params: list[Param], n: int, seed: int) -> None:
    group, trials = Group(params), drawn(params, n, seed)
    numbers, choices = Parzen(group, group.points(trials)).sample(50, np.random.default_rng(seed))
    for point in zip(numbers, choices, strict=True):
        chosen = group.params(*point)
        for param in params:
            value, domain = chosen[param.name], param.domain
            if isinstance(domain, Choice):
                assert any(value is own for own in domain.values)
            else:
                assert type(value) is (int if isinstance(domain, IntRange) else float)
                assert domain.low <= value <= domain.high


@given(params=PARTS, seed=SEEDS)
def test_points_and_params_are_two_forms_of_one_thing(params: list[Param], seed: int) -> None:
    group, trials = Group(params), drawn(params, 5, seed)
    for point, trial in zip(zip(*group.points(trials), strict=True), trials, strict=True):
        chosen = group.params(*point)
        rate, other = (own.pop("lr", 1.0) for own in (chosen, trial))
        assert rate == pytest.approx(other, rel=1e-12)  # exp(log(x))
        assert chosen == trial


def test_trials_without_the_params_are_left_out() -> None:
    group = Group(PARAMS[:2])
    numbers, choices = group.points([{"other": 1}, {"width": 2, "lr": 1e-3}])
    np.testing.assert_allclose(numbers, [[2, np.log(1e-3)]])
    assert choices.shape == (1, 0)


def test_equal_values_and_the_ends_of_a_range_have_a_density() -> None:
    group = Group(PARAMS)
    end: Params = {
        "width": 1,
        "lr": 1e-5,
        "kind": "cls",
        "loss_weight": -2.0,
        "steps": 0,
        "tied": True,
    }
    density = Parzen(group, group.points([end] * 150))
    far: Params = {**end, "width": 6, "lr": 1e-2, "loss_weight": 3.0, "steps": 500}
    found = density.log_density(group.points([end, far]))
    assert np.isfinite(found).all()
    assert found[0] > found[1]


def test_the_best_candidate_is_near_the_good_and_away_from_the_bad() -> None:
    group = Group([PARAMS[1], PARAMS[2]])
    good: list[Params] = [{"lr": 1e-3 * 1.1**k, "kind": "mean"} for k in range(5)]
    bad: list[Params] = [{"lr": 3e-5 * 1.1**k, "kind": "cls"} for k in range(20)]
    chosen = [best_candidate(group, good, bad, np.random.default_rng(k)) for k in range(20)]
    assert all(float(own["lr"]) > 3e-4 for own in chosen)
    assert sum(own["kind"] == "mean" for own in chosen) >= 15
