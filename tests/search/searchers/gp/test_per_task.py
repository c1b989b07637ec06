from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from search.searchers.base import Params, draw_params
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Hyperparameters, Results, RungModel
from search.searchers.gp.observations import WHOLE
from search.searchers.gp.per_task import ScoreModel, learn_each
from spaces.catalogue import make_space
from tests.course import TASK_METRICS
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE

SEEDS = st.integers(0, 2**31 - 1)
Floats = NDArray[np.float64]
PARAMS = make_space("full", default_run(EncoderConfig(), SampleData(), 0, Multitask())).params()
ENCODING = SpaceEncoding(PARAMS)


def some_models(seed: int, n: int) -> list[RungModel]:
    """Return models of two rungs and three features."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        shared, own = draw.normal(size=(2, 2, 2))
        known = Hyperparameters(
            *draw.random(2), np.exp(draw.normal(size=3)), shared @ shared.T, own @ own.T
        )
        rungs = np.array([0, 1, 0, 0, 1])
        trials = np.array([0, 0, 1, 2, 2])
        results = Results(draw.random((3, 3)), rungs, trials, draw.random(5))
        found.append(RungModel(results, known))
    return found


@given(seed=SEEDS)
@settings(max_examples=10)
def test_the_score_is_the_mean_of_independent_metrics(seed: int) -> None:
    models = some_models(seed, 3)
    features = np.random.default_rng(seed).random((4, 3))
    mean, sd = ScoreModel(models, [1, 1, 1]).predict(features)
    np.testing.assert_allclose(ScoreModel(models, [1, 1, 1]).mean(features), mean)
    means, sds = np.array([model.predict(features) for model in models]).swapaxes(0, 1)
    np.testing.assert_allclose(mean, means.mean(axis=0))
    np.testing.assert_allclose(sd**2, (sds**2).sum(axis=0) / 9)  # variances of a sum add
    noise = sum(model.noise_sd**2 for model in models) / 9
    assert ScoreModel(models, [1, 1, 1]).noise_sd == pytest.approx(math.sqrt(noise))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_the_score_is_the_weighted_mean(seed: int) -> None:
    models, weights = some_models(seed, 3), np.array([0.5, 0.0, 2.0])
    features = np.random.default_rng(seed).random((4, 3))
    mean, sd = ScoreModel(models, weights.tolist()).predict(features)
    means, sds = np.array([model.predict(features) for model in models]).swapaxes(0, 1)
    np.testing.assert_allclose(mean, weights @ means / 2.5)
    np.testing.assert_allclose(sd**2, weights**2 @ sds**2 / 2.5**2)


@given(seed=SEEDS)
@settings(max_examples=10)
def test_of_one_metric_it_is_the_model_of_it(seed: int) -> None:
    (model,) = some_models(seed, 1)
    features = np.random.default_rng(seed).random((4, 3))
    whole = ScoreModel([model], [0.5])
    np.testing.assert_allclose(whole.predict(features), model.predict(features))
    assert whole.noise_sd == pytest.approx(model.noise_sd)


@given(seed=SEEDS)
@settings(max_examples=10)
def test_pending_trials_change_no_mean_and_leaves_less_to_learn(seed: int) -> None:
    draw, before = np.random.default_rng(seed), ScoreModel(some_models(seed, 3), [1, 0, 2])
    pending, others = draw.random((2, 4, 3))
    after = before.condition_on_pending(pending)
    np.testing.assert_allclose(after.mean(others), before.mean(others), atol=2e-2)
    assert (after.predict(pending)[1] <= before.predict(pending)[1] + 1e-9).all()


def results_of(trials: list[Params], values: Floats) -> list[Results]:
    """Return results at one rung, of each metric: values are (trials, metrics)."""
    features, n = ENCODING.features(ENCODING.points(trials)), len(trials)
    return [Results(features, np.zeros(n, dtype=np.int64), np.arange(n), own) for own in values.T]


def some_trials(n: int, seed: int) -> list[Params]:
    draw = random.Random(seed)
    return [draw_params(PARAMS, draw) for _ in range(n)]


def test_what_belongs_to_other_tasks_is_far_away_a_priori() -> None:
    """One trial says nothing of length scales."""
    results = results_of(some_trials(1, 0), np.array([[0.1, 0.2, 0.3]]))
    learned = learn_each(results, TASK_METRICS, 1, ENCODING, COURSE)
    (whole,) = learn_each(results[:1], WHOLE, 1, ENCODING, COURSE)
    for name, number in (("sst", 0), ("para", 1), ("sts", 2)):
        for index, weight in zip(ENCODING.param_of, learned[number].weights, strict=True):
            first = ENCODING.names[index].split(".")[0]
            is_others = first in {"sst", "para", "sts"} - {name} or (
                first == "pair_layer" and name == "sst"
            )
            expected = whole.weights[ENCODING.param_of == index][0] / (16 if is_others else 1)
            assert weight == pytest.approx(expected, rel=0.05)
    assert {name.split(".")[0] for name in ENCODING.names} >= {"sst", "para", "sts", "pair_layer"}


def test_it_learns_heads_of_tasks_from_fewer_trials_than_a_model_of_the_score() -> None:
    """Where each metric follows from the dropout and the pooling of its own head."""

    def metrics(params: Params) -> list[float]:
        return [
            (params[f"{task}.pooling"] == "mean") - 2.0 * float(params[f"{task}.dropout"])
            for task in ("sst", "para", "sts")
        ]

    gains = []
    for seed in range(2):
        trials = some_trials(90, seed)
        values = np.array([metrics(params) for params in trials])
        known, asked = trials[:30], ENCODING.features(ENCODING.points(trials[30:]))
        found = []
        for names, own in ((TASK_METRICS, values), (WHOLE, values.mean(axis=1, keepdims=True))):
            results = results_of(known, own[:30])
            models = map(RungModel, results, learn_each(results, names, 1, ENCODING, COURSE))
            guess = ScoreModel(list(models), [1.0] * len(names)).mean(asked)
            found.append(stats.spearmanr(guess, values[30:].mean(axis=1)).statistic)
        gains.append(found[0] - found[1])
    assert min(gains) > 0
