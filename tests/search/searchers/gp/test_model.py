from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from search.searchers.gp.model import Hyperparameters, RungModel
from tests.search.searchers.gp.some_results import some_results

SEEDS = st.integers(0, 2**31 - 1)
Floats = NDArray[np.float64]


def some_known(draw: np.random.Generator, n_rungs: int, n_features: int) -> Hyperparameters:
    shared, own = draw.normal(size=(2, n_rungs, n_rungs))
    weights = np.exp(draw.normal(size=n_features))
    return Hyperparameters(0.3, 2.0, weights, shared @ shared.T, own @ own.T)


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


@given(seed=SEEDS, n_rungs=st.integers(1, 4))
@settings(max_examples=10)
def test_noise_is_that_of_the_last_rung_on_the_scale_of_the_scores(seed: int, n_rungs: int) -> None:
    draw = np.random.default_rng(seed)
    known = some_known(draw, n_rungs, 2)
    model = RungModel(some_results(draw, 5, n_rungs, 2), known)
    assert model.noise_sd**2 == pytest.approx(known.scale**2 * known.own[n_rungs - 1, n_rungs - 1])
