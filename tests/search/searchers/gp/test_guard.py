from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.log.history import History, Journal
from search.searchers.gp.guard import Guard

Told = tuple[str, float | None]  # origin of a trial, and its score; None for NaN
SCORES = st.lists(st.integers(0, 5).map(float), max_size=8)
N = 400  # suggestions that are asked for
BAD: list[Told] = [("prior", 0.1), ("change of trial 0", 0.2), ("one-size/a", 0.1)] * 2
GOOD: list[Told] = [(origin, 0.9) for origin, _ in BAD]
UNIFORM: list[Told] = [("random", 0.3)] * 4


def told(journal: Journal, trials: Iterable[Told], unit: int = 1) -> None:
    """Let trials of these origins report these scores."""
    for origin, score in trials:
        number = len(journal.history.trials)
        journal.write("suggested", trial=number, params={}, run_config={}, bracket=0, origin=origin)
        metrics = {"score": score}
        journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")


def share(guard: Guard) -> float:
    """Return the share of suggestions that may use the priors."""
    return sum(guard.trusts(number) for number in range(N)) / N


def share_of(*trials: Told, unit: int = 1, seed: int = 0) -> float:
    journal, guard = Journal(History()), Guard(seed, 1)
    told(journal, trials, unit)
    guard.read(journal.history)
    return share(guard)


def test_before_anything_is_known_priors_are_better_in_two_of_three() -> None:
    # Of Beta(2, 1) and Beta(1, 1), the first is greater with a probability of 2/3.
    assert share_of() == pytest.approx(2 / 3, abs=0.07)


@pytest.mark.parametrize("seed", range(3))
def test_its_share_is_the_probability_that_the_priors_succeed_more_often(seed: int) -> None:
    # The median of these is .2: of six known ones one is above and two are equal, of two uniform
    # ones all are above.
    trials: list[Told] = [("prior", own) for own in (0.1, 0.1, 0.1, 0.2, 0.2, 0.4)]
    trials += [("random", 0.3), ("random", 0.5)]
    x = stats.beta(2 + 2, 1 + 4)
    y = stats.beta(1 + 2, 1)
    expected = x.expect(y.cdf)
    assert share_of(*trials, seed=seed) == pytest.approx(expected, abs=0.07)


def test_uniform_draws_that_are_better_lower_it_and_worse_ones_raise_it() -> None:
    assert share_of(*UNIFORM, *BAD) < 0.15
    assert share_of(*UNIFORM, *GOOD) > 0.95


def test_priors_come_back_when_they_are_better_again() -> None:
    journal, guard = Journal(History()), Guard(0, 1)
    told(journal, [*UNIFORM, *BAD])
    guard.read(journal.history)
    lowest = share(guard)
    told(journal, [("change of trial 3", 0.6)] * 16)
    guard.read(journal.history)
    assert share(guard) > 0.8 > lowest
    again = Guard(0, 1)
    again.read(journal.history)
    assert [again.trusts(n) for n in range(N)] == [guard.trusts(n) for n in range(N)]


def test_the_default_and_a_model_s_change_count() -> None:
    assert share_of(*UNIFORM, *[("default", 0.0)] * 8) < 0.15
    assert share_of(*UNIFORM, *[("rung-gp, change of trial 3", 0.0)] * 8) < 0.15


@pytest.mark.parametrize("origin", ["rung-gp", "rung-gp, random"])
def test_what_a_model_chose_from_the_whole_space_does_not_count(origin: str) -> None:
    assert share_of(*UNIFORM, *[(origin, 0.0)] * 20) == share_of(*UNIFORM)


def test_other_rungs_do_not_count_and_no_score_is_the_worst() -> None:
    assert share_of(*UNIFORM, *BAD, unit=2) == share_of()
    assert share_of(*UNIFORM, *[("prior", None)] * 8) < 0.15


@given(known=SCORES, uniform=SCORES)
def test_only_the_order_of_scores_counts(known: list[float], uniform: list[float]) -> None:
    def asked(scale: float) -> list[bool]:
        journal, guard = Journal(History()), Guard(0, 1)
        for origin, scores in (("prior", known), ("random", uniform)):
            told(journal, [(origin, math.exp(scale * own) - 2) for own in scores])
        guard.read(journal.history)
        return [guard.trusts(number) for number in range(20)]

    assert asked(0.5) == asked(0.25)
