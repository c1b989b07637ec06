from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.planning.algorithms import NoSearch
from search.searchers.base import Suggestion
from search.searchers.random_search import RandomSearch
from tests.search.conftest import SMOKE


def test_when_nothing_new_may_begin_the_search_still_ends_well(played: Any) -> None:
    search = played(lambda n, u: n / 10, n_trials=8, units=4, first="random")
    search.dispatcher.next_job("a")
    search.dispatcher.queue.no_more_trials()
    assert search.dispatcher.next_job("b") is None
    assert not search.dispatcher.is_finished
    search.dispatcher.reported("a", 1, {"score": 0.0})
    search.dispatcher.left("a", 1.0, 0.0)
    assert search.history.trials[0].status == "paused"
    search.play()
    assert [t.status for t in search.history.trials.values()] == ["done"]


class Rounds:
    """Suggests three configurations, and three more as soon as none of them is under way."""

    def __init__(self, n_rounds: int) -> None:
        self.n_trials, self._random = 3 * n_rounds, RandomSearch(SMOKE, 0)

    def suggest(self, number: int, history: History) -> Suggestion | None:
        is_under_way = any(trial.is_open for trial in history.trials.values())
        if number == self.n_trials or (number % 3 == 0 and is_under_way):
            return None
        return self._random.suggest(number, history)


@given(
    n_rounds=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    n_slots=st.integers(1, 5),
    eta=st.integers(2, 4),
)
@settings(max_examples=20)
def test_a_searcher_may_wait_for_trials_under_way_and_end_before_the_trials_do(
    played: Any, outcomes: Any, n_rounds: int, seed: int, n_slots: int, eta: int
) -> None:
    rounds, outcome = Rounds(n_rounds), outcomes(seed, 0.1, 0.1)
    search = played(outcome, n_trials=20, eta=eta, searcher=rounds).play(n_slots, seed)
    trials = search.history.trials.values()
    assert len(trials) == rounds.n_trials
    assert all(trial.status in ("done", "stopped", "failed") for trial in trials)
    assert search.dispatcher.next_job("more") is None
    assert search.dispatcher.is_finished


@pytest.mark.parametrize("n_slots", [1, 4])
def test_a_searcher_that_has_nothing_ends_a_search_after_the_given_points(
    played: Any, n_slots: int
) -> None:
    search = played(lambda n, u: 0.5, searcher=NoSearch()).play(n_slots)
    assert [trial.status for trial in search.history.trials.values()] == ["done"]
