from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import TrialRecord
from search.searchers.base import Params, Suggestion, Tried, draw_params, fresh, params_key
from search.searchers.random_search import RandomSearch
from spaces.catalogue import base_config, make_space
from trainable.data.sources import SampleData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

BASE = base_config(EncoderConfig(), SampleData(), 0, Multitask())
SPACES = {name: make_space(name, BASE) for name in ("smoke", "heads", "full")}
NINE = replace(SPACES["smoke"], vary=("para.pair", "sts.pair"))  # 3 x 3 configurations


def add(history: History, suggestion: Suggestion) -> None:
    number = len(history.trials)
    history.trials[number] = TrialRecord(number, suggestion.params, {}, 0.0, 0.0)


def suggest(searcher: RandomSearch, history: History) -> Suggestion:
    suggestion = searcher.suggest(len(history.trials), history)
    assert suggestion is not None
    return suggestion


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31 - 1), number=st.integers(0, 10**5))
def test_random_suggestions_are_inside_the_space(name: str, seed: int, number: int) -> None:
    space = SPACES[name]
    suggestion = RandomSearch(space, seed).suggest(number, History())
    assert suggestion is not None
    assert suggestion.origin == "random"
    assert space.params_of(suggestion.run_config) == suggestion.params
    assert space.why_not(suggestion.run_config) is None
    assert json.loads(json.dumps(suggestion.params)) == suggestion.params


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31 - 1), stop=st.integers(1, 8))
def test_a_restart_changes_nothing(seed: int, stop: int) -> None:
    whole, broken = History(), History()
    searcher = RandomSearch(NINE, seed)
    for _ in range(9):
        add(whole, suggest(searcher, whole))
    for number in range(9):
        if number % stop == 0:
            searcher = RandomSearch(NINE, seed)
        add(broken, suggest(searcher, broken))
    assert broken.trials == whole.trials


def test_other_seeds_and_numbers_give_other_suggestions() -> None:
    space, history = SPACES["heads"], History()
    found = [RandomSearch(space, s).suggest(n, history) for s in range(3) for n in range(3)]
    assert len({params_key(own.params) for own in found if own is not None}) == 9


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31 - 1))
def test_a_finite_space_is_suggested_once_each_and_then_nothing(seed: int) -> None:
    history, searcher = History(), RandomSearch(NINE, seed)
    for _ in range(9):
        add(history, suggest(searcher, history))
    assert len({params_key(trial.params) for trial in history.trials.values()}) == 9
    assert searcher.suggest(9, history) is None


@given(st.integers(0, 299))
def test_draws_go_on_until_something_is_new(n_known: int) -> None:
    known: Params = {"para.pair": "joint", "sts.pair": "joint"}
    new: Params = {"para.pair": "joint", "sts.pair": "cosine"}
    history, tried, attempts = History(), Tried(), []
    history.trials[0] = TrialRecord(0, known, {}, 0.0, 0.0)
    tried.read(history)

    def draw(attempt: int) -> tuple[Params, str]:
        attempts.append(attempt)
        return (new if attempt == n_known else known), "test"

    suggestion = fresh(NINE, draw, tried)
    assert attempts == list(range(n_known + 1))
    assert suggestion is not None
    assert suggestion.params == new


def test_draws_end() -> None:
    known: Params = {"para.pair": "joint", "sts.pair": "joint"}
    history, tried = History(), Tried()
    history.trials[0] = TrialRecord(0, known, {}, 0.0, 0.0)
    tried.read(history)
    assert fresh(NINE, lambda _: (known, "test"), tried) is None


def test_tried_params_are_found_in_any_order_and_after_json() -> None:
    params = draw_params(SPACES["full"].params(), random.Random(0))
    history, tried = History(), Tried()
    history.trials[0] = TrialRecord(0, json.loads(json.dumps(params)), {}, 0.0, 0.0)
    tried.read(history)
    backwards = dict(reversed(params.items()))
    assert backwards in tried
    assert tried.trial_of(params_key(backwards)) is history.trials[0]
    changed = {**params, "multitask.optimization.lr": 0.00123}
    assert changed not in tried
    assert tried.trial_of(params_key(changed)) is None


def test_tried_follows_a_history_that_grows_and_forgets_another() -> None:
    points: list[Params] = [{"row": name} for name in "abc"]
    first, second, tried = History(), History(), Tried()
    for number, params in enumerate(points):
        first.trials[number] = TrialRecord(number, params, {}, 0.0, 0.0)
        tried.read(first)
        assert [p in tried for p in points] == [n <= number for n in range(3)]
    tried.read(second)
    assert not any(p in tried for p in points)


def test_draws_are_spread_over_their_ranges() -> None:
    params, generator = SPACES["full"].params(), random.Random(0)
    drawn = [draw_params(params, generator) for _ in range(600)]
    kinds = Counter(own["para.pair"] for own in drawn)
    assert set(kinds) == {"cosine", "joint", "siamese"}
    assert min(kinds.values()) > 150
    lrs = sorted(float(own["multitask.optimization.lr"]) for own in drawn)
    assert lrs[300] == pytest.approx(math.sqrt(1e-3 * 1e-2), rel=0.1)  # uniform in the logarithm
    rates = sorted(float(own["encoder.dropout"]) for own in drawn)
    assert rates[300] == pytest.approx(0.15, rel=0.1)
    depths = {own["sst.head.mlp.depth"] for own in drawn if own["sst.head"] == "mlp"}
    assert depths == {1, 2}
    assert all("sst.head.mlp.depth" not in own for own in drawn if own["sst.head"] == "linear")


def test_a_suggestion_carries_what_its_params_mean() -> None:
    suggestion = suggest(RandomSearch(SPACES["smoke"], 0), History())
    config: RunConfig = suggestion.run_config
    assert config.para.pair.kind == suggestion.params["para.pair"]
    assert config.multitask is not None
    assert config.multitask.optimization.lr == suggestion.params["multitask.optimization.lr"]
