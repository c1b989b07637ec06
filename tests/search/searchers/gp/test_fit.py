from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from search.searchers.gp.fit import Posterior, learn, length_scales
from search.searchers.gp.model import Results, RungModel
from tests.search.searchers.gp.some_results import some_results

SEEDS = st.integers(0, 2**31 - 1)
Floats = NDArray[np.float64]


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


@given(
    seed=SEEDS,
    scores=st.lists(st.floats(-1e9, 1e9) | st.floats(-1e-9, 1e-9), min_size=1, max_size=12),
    n_rungs=st.integers(1, 4),
)
@settings(max_examples=15)
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


@given(seed=SEEDS, n_trials=st.integers(1, 6), n_rungs=st.integers(1, 3))
@settings(max_examples=10)
def test_scores_are_standardized_by_their_rungs(seed: int, n_trials: int, n_rungs: int) -> None:
    """Median of the lowest rung, and the pooled deviation: that of n residuals, not of n - 1."""
    draw = np.random.default_rng(seed)
    results = some_results(draw, n_trials, n_rungs, 2)
    known = learn(results, n_rungs, np.arange(2), length_scales(2))
    frame = pd.DataFrame({"rung": results.rungs, "score": results.scores})
    assert known.middle == pytest.approx(frame.score[frame.rung == frame.rung.min()].median())
    residuals = frame.score - frame.groupby("rung").score.transform("mean")
    assert known.scale == pytest.approx(max(residuals.std(ddof=0), 1e-6))


def test_the_prior_of_hyperparameters() -> None:
    """Length scales have the medians given; all rungs share a level and have a change each."""
    results = some_results(np.random.default_rng(0), 4, 3, 3)
    lengths = np.array([0.5, 2.0])
    posterior = Posterior(results, results.scores, 3, np.array([0, 1, 1]), lengths)
    weights, level, own = posterior.parts(posterior.start)
    np.testing.assert_allclose(weights, [4.0, 0.25, 0.25])
    changes = np.diag([0.0, 1.0, 1.0])
    np.testing.assert_allclose(level @ level.T, 1.2**2 + 1.0**2 * changes)
    np.testing.assert_allclose(own @ own.T, 0.3**2 + 0.2**2 * changes)
    # The logarithm of a squared length scale has twice the deviation of that of the scale, 0.6.
    np.testing.assert_allclose(posterior.sd, [1.2] * 2 + [0.4] * 12)
    np.testing.assert_allclose(length_scales(25), [2.0] * 25)
