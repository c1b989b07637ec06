from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.searchers.base import Params, draw_params
from search.searchers.gp.encoding import Points, SpaceEncoding
from spaces.catalogue import make_space
from trainable.component import Choice, Domain, IntRange, Value
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

BASE = default_run(EncoderConfig(), SampleData(), 0, Multitask())
SPACES = {name: make_space(name, BASE) for name in ("smoke", "heads", "full")}
PARAMS = {name: space.params() for name, space in SPACES.items()}
ENCODINGS = {name: SpaceEncoding(params) for name, params in PARAMS.items()}
SEEDS = st.integers(0, 2**31 - 1)
NAMES = st.sampled_from(sorted(SPACES))


def drawn(name: str, n: int, seed: int) -> list[Params]:
    draw = random.Random(seed)
    return [draw_params(PARAMS[name], draw) for _ in range(n)]


def squared_distances(encoding: SpaceEncoding, trials: list[Params]) -> NDArray[np.float64]:
    x = encoding.features(encoding.points(trials))
    return np.asarray(((x[:, None] - x) ** 2).sum(axis=-1))


@given(name=NAMES, seed=SEEDS)
@settings(max_examples=20)
def test_params_come_back(name: str, seed: int) -> None:
    trials = drawn(name, 5, seed)
    points = ENCODINGS[name].points(trials)
    for row, trial in enumerate(trials):
        found = ENCODINGS[name].params(points, row)
        assert found == pytest.approx(trial)
        assert list(found) == list(trial)


@given(name=NAMES, seed=SEEDS, width=st.floats(0.0, 3.0))
@settings(max_examples=10)
def test_candidates_are_inside_the_space(name: str, seed: int, width: float) -> None:
    encoding, space = ENCODINGS[name], SPACES[name]
    draw = np.random.default_rng(seed)
    anywhere = encoding.anywhere(4, draw)
    for points in (anywhere, encoding.near(anywhere, width, draw)):
        for row in range(4):
            params = encoding.params(points, row)
            for param in PARAMS[name]:
                if param.name in params:
                    check(param.domain, params[param.name])
            config = space.config_of(params)
            assert space.params_of(config) == params
            assert space.why_not(config) is None


def check(domain: Domain, value: Value) -> None:
    """Check that a value is of its domain, and of the type that it has there."""
    if isinstance(domain, Choice):
        assert any(value is own for own in domain.values)
    else:
        assert type(value) is (int if isinstance(domain, IntRange) else float)
        assert domain.low <= value <= domain.high


@given(seed=SEEDS)
@settings(max_examples=10)
def test_distances_are_of_what_both_have(seed: int) -> None:
    """In ranges; 1 for another value; half a feature's way to what a configuration lacks."""
    first, second = drawn("heads", 2, seed)
    expected = 0.0
    for param in PARAMS["heads"]:
        own = [trial.get(param.name) for trial in (first, second)]
        there = [value is not None for value in own]
        if isinstance(param.domain, Choice):
            expected += 0.5 * sum(there) * (own[0] != own[1])
        else:
            unit = [0.5 if v is None else scaled(param.domain, float(v)) for v in own]
            expected += (unit[0] - unit[1]) ** 2
    assert squared_distances(ENCODINGS["heads"], [first, second])[0, 1] == pytest.approx(expected)


def scaled(domain: object, value: float) -> float:
    """Return where a number is in its range; a whole one stands for all that round to it."""
    low, high = float(domain.low), float(domain.high)  # type: ignore[attr-defined]
    if getattr(domain, "log", False):
        low, high, value = (float(np.log(x)) for x in (low, high, value))
    elif not hasattr(domain, "log"):
        low, high = low - 0.5, high + 0.5
    return (value - low) / (high - low)


def test_every_feature_is_of_a_param() -> None:
    encoding = ENCODINGS["full"]
    n_values = [len(p.domain.values) if isinstance(p.domain, Choice) else 1 for p in PARAMS["full"]]
    assert encoding.n_params == len(PARAMS["full"]) == len(encoding.names)
    assert dict(zip(encoding.names, np.bincount(encoding.param_of), strict=True)) == {
        param.name: n for param, n in zip(PARAMS["full"], n_values, strict=True)
    }


def test_near_is_near_and_nothing_is_out_of_reach() -> None:
    encoding, draw = ENCODINGS["full"], np.random.default_rng(0)
    numbers, choices = encoding.anywhere(1, draw)
    start = np.repeat(numbers, 4000, axis=0), np.repeat(choices, 4000, axis=0)
    near = encoding.near(start, 0.05, draw)
    n_values = [len(p.domain.values) for p in PARAMS["full"] if isinstance(p.domain, Choice)]
    assert [len(set(own)) for own in near[1].T.tolist()] == n_values
    (away,) = encoding.features((numbers, choices))

    def typical(points: Points) -> float:
        return float(np.median(((encoding.features(points) - away) ** 2).sum(axis=1)))

    assert 0 < typical(near) < typical(encoding.near(start, 0.5, draw))
    assert typical(near) < 0.2 * typical(encoding.anywhere(4000, draw))
