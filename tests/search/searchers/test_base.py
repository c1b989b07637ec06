from __future__ import annotations

import json
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import TrialRecord
from search.searchers.base import Params, Tried, draw_params, fresh, params_key
from tests.search.searchers.searcher_contract import NINE, SPACES


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
