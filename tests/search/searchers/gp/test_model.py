from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from search.searchers.gp.fit import Posterior, learn, length_scales
from search.searchers.gp.model import Hyperparameters, Results, RungModel

SEEDS = st.integers(0, 2**31 - 1)
Floats = NDArray[np.float64]


def some_results(
    draw: np.random.Generator, n_trials: int, n_rungs: int, n_features: int
) -> Results:
    """Return scores of trials that stopped at any rung."""
    x = draw.random((n_trials, n_features))
    reached = draw.integers(1, n_rungs + 1, n_trials)
    trials = np.repeat(np.arange(n_trials), reached)
    rungs = np.concatenate([np.arange(n) for n in reached])
    return Results(x, rungs, trials, draw.normal(size=len(trials)))


def some_known(draw: np.random.Generator, n_rungs: int, n_features: int) -> Hyperparameters:
    shared, own = draw.normal(size=(2, n_rungs, n_rungs))
    weights = np.exp(draw.normal(size=n_features))
    return Hyperparameters(0.3, 2.0, weights, shared @ shared.T, own @ own.T)


@given(seed=SEEDS, n_rungs=st.integers(1, 4))
@settings(max_examples=10)
def test_the_gradient_is_that_of_the_value(seed: int, n_rungs: int) -> None:
    draw = np.random.default_rng(seed)
    results = some_results(draw, 12, n_rungs, 5)
    param_of = np.array([0, 1, 2, 2, 2])
    posterior = Posterior(results, results.scores, n_rungs, param_of, length_scales(3))
    at = posterior.start + 0.3 * draw.normal(size=len(posterior.start))
    numeric = approx_fprime(at, lambda values: posterior(values)[0], 1e-6)
    np.testing.assert_allclose(posterior(at)[1], numeric, rtol=1e-3, atol=1e-2)


@given(seed=SEEDS)
@settings(max_examples=10)
def test_with_one_rung_it_is_the_gaussian_process_of_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    results, known = some_results(draw, 15, 1, 3), some_known(draw, 1, 3)
    kernel = ConstantKernel(known.shared[0, 0]) * Matern(known.weights**-0.5, nu=2.5)
    noise = float(known.own[0, 0]) + 1e-3
    peer = GaussianProcessRegressor(kernel + ConstantKernel(100.0), alpha=noise, optimizer=None)
    peer.fit(results.features[results.trials], (results.scores - 0.3) / 2.0)
    points = draw.random((20, 3))
    mean, _ = RungModel(results, known).predict(points)
    np.testing.assert_allclose(mean, 0.3 + 2.0 * peer.predict(points), rtol=1e-5, atol=1e-6)
    # The deviation is that of a process whose mean is known.
    peer = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    peer.fit(results.features[results.trials], results.scores)
    _, expected = peer.predict(points, return_std=True)
    _, sd = RungModel(results, known).predict(points)
    np.testing.assert_allclose(sd, 2.0 * expected, rtol=1e-3, atol=1e-4)


@given(seed=SEEDS, n_rungs=st.integers(2, 4))
@settings(max_examples=10)
def test_with_several_it_is_a_normal_distribution_given_the_scores(seed: int, n_rungs: int) -> None:
    """Written out cell by cell."""
    draw = np.random.default_rng(seed)
    results, known = some_results(draw, 8, n_rungs, 3), some_known(draw, n_rungs, 3)
    point = draw.random(3)
    cells: list[tuple[Floats, int, int]] = [
        (results.features[t], int(k), int(t))
        for k, t in zip(results.rungs, results.trials, strict=True)
    ]
    cells.append((point, n_rungs - 1, -1))

    def covariance(a: tuple[Floats, int, int], b: tuple[Floats, int, int]) -> float:
        r = math.sqrt(5 * float(known.weights @ (a[0] - b[0]) ** 2))
        kernel = (1 + r + r**2 / 3) * math.exp(-r)
        own = known.own[a[1], b[1]] if a[2] == b[2] >= 0 else 0.0
        return float(known.shared[a[1], b[1]] * kernel + own)

    joint = np.array([[covariance(a, b) for b in cells] for a in cells])
    noise = 1e-3 * np.eye(len(cells) - 1)
    means = np.array([[100.0 * (a[1] == b[1]) for b in cells] for a in cells])
    seen = (joint + means)[:-1, :-1] + noise
    expected = (joint + means)[-1, :-1] @ np.linalg.solve(seen, (results.scores - 0.3) / 2.0)
    mean, sd = RungModel(results, known).predict(point[None])
    assert mean[0] == pytest.approx(0.3 + 2.0 * expected, rel=1e-4, abs=1e-5)
    # The deviation is that of a process whose means are known.
    explained = joint[-1, :-1] @ np.linalg.solve(joint[:-1, :-1] + noise, joint[-1, :-1])
    assert sd[0] == pytest.approx(2.0 * math.sqrt(joint[-1, -1] - explained), rel=1e-3, abs=1e-4)


def curves(
    draw: np.random.Generator, n_trials: int, n_done: int, sign: float
) -> tuple[Results, Any]:
    """Return scores after a rung, and of some trials at the end: `sign` times as high or low."""

    def worth(x: Floats) -> Floats:
        return np.asarray(-((x[:, 0] - 0.3) ** 2) - 0.5 * (x[:, 1] - 0.6) ** 2)

    x = draw.random((n_trials, 4))
    trials = np.concatenate([np.arange(n_trials), np.arange(n_done)])
    rungs = np.repeat([0, 1], [n_trials, n_done])
    scores = np.concatenate([sign * worth(x), worth(x[:n_done])])
    scores = 0.5 + 0.1 * scores + draw.normal(0.0, 0.001, len(scores))
    return Results(x, rungs, trials, scores), worth


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_learns_what_a_rung_says_of_the_last_one(sign: float) -> None:
    """With eight trials that went all the way, also where what rises fast ends low."""
    draw = np.random.default_rng(0)
    results, worth = curves(draw, 40, 8, sign)
    known = learn(results, 2, np.arange(4), length_scales(4))
    assert np.sign(known.shared[0, 1]) == sign
    points = draw.random((200, 4))
    mean, sd = RungModel(results, known).predict(points)
    truth = 0.5 + 0.1 * worth(points)
    assert np.corrcoef(mean, truth)[0, 1] > 0.9
    assert np.mean(np.abs(mean - truth) < 3 * sd) > 0.95
    assert known.weights[0] > 3 * known.weights[2]  # the first number matters, the third does not


def test_what_the_params_do_not_explain_is_a_trials_own() -> None:
    draw = np.random.default_rng(0)
    x, luck = draw.random((60, 2)), draw.normal(size=60)
    trials, rungs = np.tile(np.arange(60), 2), np.repeat([0, 1], 60)
    results = Results(x, rungs, trials, np.tile(luck, 2))
    known = learn(results, 2, np.arange(2), length_scales(2))
    assert known.own[0, 1] > 0.7 * known.own[0, 0] > 0.5
    mean, _ = RungModel(results, known).predict(x)
    assert mean.std() < 0.3


@given(seed=SEEDS)
@settings(max_examples=5)
def test_pending_trials_change_no_mean_and_leaves_less_to_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    results, known = some_results(draw, 20, 3, 4), some_known(draw, 3, 4)
    pending, points = draw.random((3, 4)), draw.random((30, 4))
    before = RungModel(results, known)
    np.testing.assert_allclose(before.mean(points), before.predict(points)[0])
    after = before.condition_on_pending(pending)
    np.testing.assert_allclose(
        after.predict(points)[0], before.predict(points)[0], rtol=1e-6, atol=1e-6
    )
    assert (after.predict(points)[1] <= before.predict(points)[1] + 1e-9).all()
    assert (after.predict(pending)[1] < before.predict(pending)[1]).all()


@given(
    seed=SEEDS,
    scores=st.lists(st.floats(-1e9, 1e9) | st.floats(-1e-9, 1e-9), min_size=1, max_size=12),
    n_rungs=st.integers(1, 4),
)
@settings(max_examples=30)
def test_no_scores_are_too_odd_to_learn_from(seed: int, scores: list[float], n_rungs: int) -> None:
    """Nor many of equal params."""
    draw, n = np.random.default_rng(seed), len(scores)
    x = draw.integers(0, 2, (n, 3)).astype(float)
    results = Results(x, draw.integers(0, n_rungs, n), np.arange(n), np.array(scores))
    known = learn(results, n_rungs, np.arange(3), length_scales(3))
    model = RungModel(results, known)
    mean, sd = model.condition_on_pending(x).predict(draw.random((5, 3)))
    assert np.isfinite(mean).all()
    assert (sd > 0).all()
