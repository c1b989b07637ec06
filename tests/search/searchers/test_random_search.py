from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.searchers.base import params_key
from search.searchers.random_search import RandomSearch
from tests.search.searchers.searcher_contract import SEEDS, SPACES, MakeSearcher, SearcherContract


class TestRandomSearch(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return RandomSearch


@settings(max_examples=15)
@given(seed=SEEDS, number=st.integers(0, 10**5))
def test_any_number_gets_a_suggestion(seed: int, number: int) -> None:
    suggestion = RandomSearch(SPACES["full"], seed).suggest(number, History())
    assert suggestion is not None
    assert suggestion.origin == "random"
    assert SPACES["full"].params_of(suggestion.run_config) == suggestion.params


def test_other_seeds_and_numbers_give_other_suggestions() -> None:
    space, history = SPACES["heads"], History()
    found = [RandomSearch(space, s).suggest(n, history) for s in range(3) for n in range(3)]
    assert len({params_key(own.params) for own in found if own is not None}) == 9


def test_a_suggestion_carries_what_its_params_mean() -> None:
    suggestion = RandomSearch(SPACES["smoke"], 0).suggest(0, History())
    assert suggestion is not None
    config = suggestion.run_config
    assert config.tasks["para"].pair.kind == suggestion.params["para.pair"]
    assert config.multitask is not None
    assert config.multitask.optimization.lr == suggestion.params["multitask.optimization.lr"]
