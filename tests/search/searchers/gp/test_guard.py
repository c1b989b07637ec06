from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from search.log.history import History, Journal
from search.searchers.gp.guard import Guard, probability_not_worse

SCORES = st.lists(st.integers(0, 5).map(float), max_size=8)
Told = tuple[str, float | None]


def told(journal: Journal, trials: Iterable[Told], unit: int = 1) -> None:
    """Let trials of these origins report these scores."""
    for origin, score in trials:
        number = len(journal.history.trials)
        journal.write("suggested", trial=number, params={}, run_config={}, bracket=0, origin=origin)
        metrics = {"score": score}
        journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")


def share_of(*trials: Told, unit: int = 1) -> float:
    journal, guard = Journal(History()), Guard(1)
    told(journal, trials, unit)
    guard.read(journal.history)
    return guard.share


BAD: list[Told] = [("prior", 0.1), ("change of trial 0", 0.2), ("one-size/a", 0.1)] * 4
UNIFORM: list[Told] = [("random", 0.3)] * 4


def test_before_anything_is_known_priors_are_trusted() -> None:
    assert share_of() == 1
    assert share_of(*BAD) == 1
    assert share_of(*UNIFORM) == 1


def test_one_uniform_draw_that_is_better_does_not_end_it() -> None:
    assert share_of(("random", 0.5), ("prior", 0.1)) == 1
    assert share_of(("random", 0.5), *BAD) > 0.5


def test_many_that_are_worse_lower_the_share_and_later_ones_that_are_better_raise_it() -> None:
    journal, guard = Journal(History()), Guard(1)
    told(journal, [*UNIFORM, *BAD])
    guard.read(journal.history)
    lowest = guard.share
    assert lowest < 0.3
    told(journal, [("change of trial 3", 0.6)] * 16)
    guard.read(journal.history)
    assert guard.share == 1
    again = Guard(1)
    again.read(journal.history)
    assert again.share == guard.share


def test_it_never_ends_at_nothing() -> None:
    assert share_of(*[("random", 0.9)] * 20, *[("prior", 0.0)] * 20) == 0.1


@pytest.mark.parametrize("origin", ["default", "one-size/a, default", "base", "rung-gp"])
def test_the_default_and_what_a_model_chose_anywhere_do_not_count(origin: str) -> None:
    assert share_of(*UNIFORM, *[(origin, 0.0)] * 20) == 1


def test_a_model_s_change_counts_and_its_uniform_draw_does_not() -> None:
    assert share_of(*UNIFORM, *[("rung-gp, change of trial 3", 0.0)] * 12) < 0.3
    assert share_of(*UNIFORM, *[("rung-gp, random", 0.0)] * 12) == 1


def test_other_rungs_do_not_count_and_no_score_is_the_worst() -> None:
    assert share_of(*UNIFORM, *BAD, unit=2) == 1
    assert share_of(*UNIFORM, *[("prior", None)] * 12) < 0.3


@given(scores=SCORES, others=SCORES)
def test_it_depends_on_ranks_alone(scores: list[float], others: list[float]) -> None:
    before = probability_not_worse(scores, others)
    assert 0 <= before <= 1
    moved = [[math.exp(3 * own) - 2 for own in group] for group in (scores, others)]
    assert probability_not_worse(*moved) == before
    if scores and others:
        better = probability_not_worse([own + 1 for own in scores], others)
        assert better >= before


def test_with_many_scores_it_agrees_with_mann_and_whitney() -> None:
    scores, others = [float(k) for k in range(100)], [k - 8.5 for k in range(100)]
    p = mannwhitneyu(scores, others, alternative="less", method="asymptotic").pvalue
    assert probability_not_worse(scores, others) == pytest.approx(p, abs=0.02)
