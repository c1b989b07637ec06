"""What every searcher must do: the test class of each searcher inherits these tests.

class TestMySearcher(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: MySearcher(space, seed)
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.log.history import History, Journal
from search.log.trial import Metrics
from search.searchers.base import Params, Searcher, Suggestion, draw_params, params_key
from spaces.catalogue import make_space
from spaces.space import Space
from tests.course import TASK_METRICS
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.metrics import with_overall
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE

MakeSearcher = Callable[[Space, int], Searcher]
BASE = default_run(EncoderConfig(), SampleData(), 0, Multitask())
SPACES = {name: make_space(name, BASE) for name in ("smoke", "heads", "full")}
NINE = replace(SPACES["smoke"], vary=("para.pair", "sts.pair"))  # 3 x 3 configurations
SEEDS = st.integers(0, 2**31 - 1)


def contract(max_examples: int) -> settings:
    """Return the settings of a property that several test classes inherit."""
    return settings(
        max_examples=max_examples,
        suppress_health_check=[
            HealthCheck.differing_executors,
            HealthCheck.function_scoped_fixture,
        ],
    )


def begin(journal: Journal, params: Params) -> int:
    """Write that a trial was suggested; return its number."""
    number = len(journal.history.trials)
    journal.write("suggested", trial=number, params=params, run_config={}, bracket=0, origin="")
    return number


def some_metrics(draw: random.Random) -> Metrics:
    return with_overall({metric: draw.random() for metric in TASK_METRICS}, COURSE)


def advance(journal: Journal, draw: random.Random) -> bool:
    """Let a trial that is not over report, pause, go on, or end; False where all are over."""
    able = [trial for trial in journal.history.trials.values() if not trial.is_over]
    if not able:
        return False
    trial = draw.choice(able)
    at = {"trial": trial.number, "unit": trial.units}
    if trial.status == "paused":
        if draw.random() < 0.5:
            journal.write("promoted", **at, rank=1, among=3)
        else:
            journal.write("ended", trial=trial.number, status="stopped", error=None)
        return True
    kind = draw.random()
    if kind < 0.1:  # its machine was lost again and again
        journal.write("failed", trial=trial.number, error="lost")
        journal.write("ended", trial=trial.number, status="failed", error="lost")
    elif kind < 0.2:
        journal.write("ended", trial=trial.number, status="interrupted", error=None)
    elif kind < 0.4 and trial.units in (1, 3):
        journal.write("paused", **at)
    else:
        report(journal, trial.number, trial.units + 1, draw)
    return True


def report(journal: Journal, number: int, unit: int, draw: random.Random) -> None:
    """Write that a trial finished a unit, and ended where it did."""
    kind, failure, status = draw.random(), "", "done" if unit == 9 else ""
    metrics = some_metrics(draw)
    if kind < 0.1:
        metrics["score"], status = None, "stopped"
    elif kind < 0.15:  # the run itself failed
        metrics["score"], failure, status = -1 / 3, "the loss is nan", "failed"
    at = {"trial": number, "unit": unit}
    journal.write("reported", **at, metrics=metrics, failure=failure)
    if status:
        journal.write("ended", trial=number, status=status, error=failure or None)


def some_journal(space: Space, seed: int, n: int) -> Journal:
    """Return trials of another searcher in every state, three of them imported."""
    draw, journal = random.Random(seed), Journal(History())
    params = space.params()
    for _ in range(min(3, n)):
        reports = {1: some_metrics(draw)}
        own = draw_params(params, draw)
        journal.write("imported", params=own, run_config={}, reports=reports, search="other")
    for _ in range(n):
        begin(journal, draw_params(params, draw))
        for _ in range(3):
            advance(journal, draw)
    return journal


def suggestions(
    ask: Callable[[int, History], Suggestion | None], journal: Journal, seed: int, n: int
) -> Iterator[Suggestion]:
    """Go on with a search: yield at most n suggestions, and run each of them."""
    draw = random.Random(seed)
    for _ in range(n):
        number = len(journal.history.trials)
        while (found := ask(number, journal.history)) is None:
            if not advance(journal, draw):
                return
        yield found
        begin(journal, found.params)
        for _ in range(3):
            advance(journal, draw)


class SearcherContract:
    """The tests.

    Attributes:
        space: Of the tests that ask often.
    """

    space = SPACES["heads"]

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        raise NotImplementedError

    @pytest.mark.parametrize("name", SPACES)
    @contract(4)
    @given(seed=SEEDS, n=st.integers(0, 30))
    def test_suggestions_are_inside_the_space(
        self, make_searcher: MakeSearcher, name: str, seed: int, n: int
    ) -> None:
        """Whatever happened to the trials before, and the same after they were written down."""
        space = SPACES[name]
        journal = some_journal(space, seed, n)
        searcher = make_searcher(space, seed)
        found = list(suggestions(searcher.suggest, journal, seed, 2))
        assert found
        for suggestion in found:
            assert suggestion.origin
            assert space.params_of(suggestion.run_config) == suggestion.params
            assert space.why_not(suggestion.run_config) is None
            written = json.loads(json.dumps(suggestion.params))
            assert written == suggestion.params
            types = {name: type(value) for name, value in suggestion.params.items()}
            assert {name: type(value) for name, value in written.items()} == types  # none of numpy

    @contract(2)
    @given(seed=SEEDS)
    def test_equal_seeds_and_histories_get_equal_suggestions(
        self, make_searcher: MakeSearcher, seed: int
    ) -> None:
        journal = some_journal(self.space, seed, 8)
        first, second = (make_searcher(self.space, seed) for _ in range(2))
        for suggestion in suggestions(first.suggest, journal, seed, 4):
            assert second.suggest(len(journal.history.trials), journal.history) == suggestion

    @contract(2)
    @given(seed=SEEDS)
    def test_made_anew_it_suggests_what_the_old_one_would_have(
        self, make_searcher: MakeSearcher, seed: int
    ) -> None:
        """The old one was asked about another search before, which it has to forget."""
        journal, other = some_journal(self.space, seed, 8), some_journal(self.space, seed + 1, 4)
        searcher = make_searcher(self.space, seed)
        searcher.suggest(4, other.history)
        for suggestion in suggestions(searcher.suggest, journal, seed, 4):
            again = make_searcher(self.space, seed)
            assert again.suggest(len(journal.history.trials), journal.history) == suggestion

    def test_other_seeds_suggest_otherwise(self, make_searcher: MakeSearcher) -> None:
        found = set()
        for seed in range(3):
            journal = some_journal(self.space, 0, 8)
            searcher = make_searcher(self.space, seed)
            own = [params_key(s.params) for s in suggestions(searcher.suggest, journal, 0, 4)]
            found.add(tuple(own))
        assert len(found) == 3

    @contract(3)
    @given(seed=SEEDS)
    def test_it_only_reads_the_history(self, make_searcher: MakeSearcher, seed: int) -> None:
        journal = some_journal(self.space, seed, 8)
        before = copy.deepcopy(journal.history)
        make_searcher(self.space, seed).suggest(8, journal.history)
        assert vars(journal.history) == vars(before)

    @contract(4)
    @given(seed=SEEDS)
    def test_a_finite_space_is_suggested_once_each_and_then_nothing(
        self, make_searcher: MakeSearcher, seed: int
    ) -> None:
        """With scores that rise, so that a searcher that waits for progress goes on."""
        journal, searcher = Journal(History()), make_searcher(NINE, seed)
        for number in range(9):
            suggestion = searcher.suggest(number, journal.history)
            assert suggestion is not None
            begin(journal, suggestion.params)
            metrics: Metrics = {"score": float(number)}
            journal.write("reported", trial=number, unit=9, metrics=metrics, failure="")
            journal.write("ended", trial=number, status="done", error=None)
        trials = journal.history.trials.values()
        assert len({params_key(trial.params) for trial in trials}) == 9
        assert searcher.suggest(9, journal.history) is None
