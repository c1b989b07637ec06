from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from search.searchers.base import Params, draw_params, params_key
from search.searchers.gp.acquisition import Incumbent, candidates, log_expected_improvement
from search.searchers.gp.encoding import Points, SpaceEncoding
from search.searchers.gp.fit import learn, length_scales
from search.searchers.gp.model import Results, RungModel
from search.searchers.gp.per_task import ScoreModel
from spaces.params import Param
from trainable.component import Choice, FloatRange

PARAMS = [
    Param("lr", FloatRange(1e-5, 1e-2, log=True), ()),
    Param("dropout", FloatRange(0.0, 0.5), ()),
    Param("kind", Choice(("cls", "mean", "weighted")), ()),
]


@settings(max_examples=15)
@given(mean=st.floats(-3, 3), sd=st.floats(0.1, 3), best=st.floats(-3, 3))
def test_expected_improvement_is_the_mean_of_improvements(
    mean: float, sd: float, best: float
) -> None:
    found = log_expected_improvement(np.array([mean]), np.array([sd]), best)[0]
    density = stats.norm(mean, sd).pdf
    # Where the density is not 0: quadrature may miss a narrow peak in a wide range.
    low, high = max(best, mean - 12 * sd), max(best, mean + 12 * sd)
    expected, _ = integrate.quad(lambda x: (x - best) * density(x), low, high)
    assert math.exp(found) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_where_improvement_is_unpromotable_its_logarithm_still_has_an_order() -> None:
    mean = -np.logspace(0, 5, 200)
    found = log_expected_improvement(mean, np.ones(200), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_the_first_candidate_promises_most_and_none_promises_as_much_as_it() -> None:
    """The best trial has a low dropout and `mean`."""
    encoding, draw = SpaceEncoding(PARAMS), random.Random(0)
    trials = [draw_params(PARAMS, draw) for _ in range(30)]
    scores = np.array([(t["kind"] == "mean") - 2.0 * float(t["dropout"]) for t in trials])
    features, n = encoding.features(encoding.points(trials)), len(trials)
    results = Results(features, np.zeros(n, dtype=np.int64), np.arange(n), scores)
    lengths = length_scales(encoding.n_params)
    model = ScoreModel([RungModel(results, learn(results, 1, encoding.param_of, lengths))], [1])
    top = encoding.points([trials[k] for k in np.argsort(-scores)[:3]])
    best = float(scores.max())
    found = list(candidates(encoding, Incumbent(model, best, top), np.random.default_rng(0)))
    gain = log_expected_improvement(*model.predict(encoding.features(encoding.points(found))), best)
    assert (np.diff(gain) <= 1e-9).all()
    assert len({params_key(params) for params in found}) > 120
    assert found[0]["kind"] == "mean"
    assert float(found[0]["dropout"]) < 0.1


class Recorded(SpaceEncoding):
    """Notes near what candidates are looked for."""

    starts: list[Points]

    def near(self, points: Points, width: float, draw: np.random.Generator) -> Points:
        self.starts.append(points)
        return super().near(points, width, draw)


def test_candidates_are_near_the_top_and_then_near_the_best_of_them() -> None:
    encoding, draw = Recorded(PARAMS), random.Random(0)
    encoding.starts = []
    trials = [draw_params(PARAMS, draw) for _ in range(12)]
    scores = np.array([float(t["dropout"]) for t in trials])
    features, n = encoding.features(encoding.points(trials)), len(trials)
    results = Results(features, np.zeros(n, dtype=np.int64), np.arange(n), scores)
    lengths = length_scales(encoding.n_params)
    model = ScoreModel([RungModel(results, learn(results, 1, encoding.param_of, lengths))], [1])
    top = [next(t for t in trials if t["kind"] == kind) for kind in ("cls", "mean", "weighted")]
    incumbent = Incumbent(model, 0.3, encoding.points(top))
    found = list(candidates(encoding, incumbent, np.random.default_rng(0)))
    starts = [
        [encoding.params(points, row) for row in range(len(points[0]))]
        for points in encoding.starts
    ]
    assert len(starts) == 6
    for own in starts[:3]:
        assert own == [pytest.approx(params) for params in top for _ in range(4)]

    def gain(params: Params) -> float:
        features = encoding.features(encoding.points([params]))
        return float(log_expected_improvement(*model.predict(features), 0.3)[0])

    leaders = [gain(own[0]) for own in starts[3:]]
    assert all(len({params_key(params) for params in own}) == 1 for own in starts[3:])
    assert leaders == sorted(leaders)  # each refinement begins at the best so far
    assert leaders[0] >= max(gain(params) for own in starts[:3] for params in own) - 1e-9
    assert gain(found[0]) >= leaders[-1] - 1e-9
