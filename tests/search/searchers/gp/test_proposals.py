from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from search.log.history import History, Journal
from search.searchers.base import Params, Suggestion, draw_params
from search.searchers.gp.proposals import Start, is_given, propose
from search.searchers.gp.searcher import RungGp
from spaces.priors import Prior
from spaces.space import Space
from tests.search.searchers.searcher_contract import SPACES, MakeSearcher, SearcherContract, begin

RUNGS = (1, 3, 9)
HEADS = SPACES["heads"]
PRIORS = {name: Prior(space) for name, space in SPACES.items()}
MADE = {SPACES[name].vary: prior for name, prior in PRIORS.items()}


class TestRungGpWithPriors(SearcherContract):
    """The contract, while there is no model and with one."""

    space = SPACES["smoke"]

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: RungGp(space, seed, RUNGS, min_results=5, prior=prior_of(space))


def prior_of(space: Space) -> Prior:
    """Return the prior of a space, made once; the spaces here differ in what varies."""
    return MADE.setdefault(space.vary, MADE.get(space.vary) or Prior(space))


def differing(params: Params, other: Params) -> int:
    """Return how many params both have, with different values."""
    return sum(params[name] != other[name] for name in params.keys() & other.keys())


def test_proposals_change_few_params_of_a_start_or_are_draws_of_the_prior() -> None:
    prior, draw = PRIORS["full"], random.Random(0)
    starts = [Start(prior.draw(draw), f"trial {k}") for k in (4, 7)]
    origins: Counter[str] = Counter()
    for _ in range(300):
        params, origin = propose(prior, starts, draw)
        origins[origin] += 1
        changed = [own for own in starts if origin == f"change of {own.name}"]
        assert bool(changed) == (origin != "prior")
        for own in changed:
            assert 1 <= differing(own.params, params) <= 4
    assert origins["prior"] / 300 == pytest.approx(0.2, abs=0.07)
    assert origins["change of trial 4"] > 1.4 * origins["change of trial 7"]


@pytest.mark.parametrize("origin", ["default", "one-size/a", "portfolio/a, default"])
def test_points_are_known_from_what_the_searcher_suggested(origin: str) -> None:
    assert is_given(origin)
    for own in ("random", "prior", "change of trial 1", "rung-gp", "rung-gp, prior"):
        assert not is_given(own)


def simulated(
    space: Space, prior: Prior | None, score: Callable[[Params], float], n: int, seed: int
) -> Journal:
    """Return a search in which every trial runs to its end at once."""
    searcher, journal = RungGp(space, seed, RUNGS, prior=prior), Journal(History())
    for number in range(n):
        if number == 0 and prior is not None:
            found: Suggestion | None = Suggestion(prior.center, "default", space.base)
        else:
            found = searcher.suggest(number, journal.history)
        assert found is not None
        fields = {"trial": number, "params": found.params, "run_config": {}, "bracket": 0}
        journal.write("suggested", **fields, origin=found.origin)
        for unit in RUNGS:
            metrics = {"score": score(found.params)}
            journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")
        journal.write("ended", trial=number, status="done", error=None)
    return journal


def origins(journal: Journal) -> list[str]:
    return [trial.origin for trial in journal.history.trials.values()]


def distance_from(wanted: Params) -> Callable[[Params], float]:
    """Return a score that falls with the number of choices that are not as wanted."""
    return lambda params: -sum(params.get(name) != value for name, value in wanted.items())


def test_most_of_a_search_stays_near_what_is_good() -> None:
    """With the best where the prior looks first; a sixth stays uniform."""
    prior = PRIORS["heads"]
    journal = simulated(HEADS, prior, distance_from(prior.center), 30, 0)
    found = origins(journal)
    assert 1 <= found.count("random") <= 10
    assert any(own.startswith("rung-gp, change of trial") for own in found)
    assert any(own.startswith("change of trial") for own in found)
    trials = journal.history.trials.values()
    near = [differing(prior.center, trial.params) for trial in trials if trial.origin != "random"]
    assert statistics.median(near) <= 6


@pytest.mark.slow
def test_a_misleading_prior_costs_at_most_a_tenth() -> None:
    """Its center is the worst point there is; changes of the best trials lead away from it."""
    base = HEADS.config_of(draw_params(HEADS.params(), random.Random(5)))
    prior = Prior(replace(HEADS, base=base))
    near = distance_from(prior.center)

    def best(own: Prior | None, seed: int) -> float:
        trials = simulated(HEADS, own, lambda params: -near(params), 16, seed).history.trials
        return max(trial.score for trial in trials.values())

    misled, uniform = (
        statistics.mean(best(own, seed) for seed in range(4)) for own in (prior, None)
    )
    assert misled >= 0.9 * uniform


def test_equal_histories_give_equal_suggestions_with_a_model() -> None:
    prior = PRIORS["heads"]
    journal = simulated(HEADS, prior, distance_from(prior.center), 14, 1)
    for number in range(14, 17):
        made = [RungGp(HEADS, 1, RUNGS, prior=own) for own in (prior, Prior(HEADS))]
        first, second = (own.suggest(number, journal.history) for own in made)
        assert first == second
        assert first is not None
        begin(journal, first.params)


def test_before_any_result_the_default_and_given_points_are_changed() -> None:
    prior, journal = PRIORS["heads"], Journal(History())
    given = prior.draw(random.Random(3))
    for params, origin in ((prior.center, "default"), (given, "one-size/a")):
        number = len(journal.history.trials)
        fields = {"trial": number, "params": params, "run_config": {}, "bracket": 0}
        journal.write("suggested", **fields, origin=origin)
    searcher = RungGp(HEADS, 0, RUNGS, random_share=0.0, prior=prior)
    found = {searcher.suggest(number, journal.history).origin for number in range(2, 40)}  # type: ignore[union-attr]
    # The guard asks for the uniform draws.
    assert found == {"prior", "random", "change of trial 0", "change of trial 1"}
