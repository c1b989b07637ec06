from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.loop.simulated_search import Beginning, Pace, play
from search.planning.choose import (
    LEAST,
    MOST,
    USUAL,
    Choice,
    Given,
    below_one_pass,
    busiest,
    choose,
    sentence,
)
from search.planning.options import SearchOptions
from search.planning.unit_cost import UnitCost
from search.schedulers.rungs import rungs
from trainable.errors import InputError

COST = UnitCost(1100.0, 3.0, 8.0, 0.5, 1.0)
ASKED = Given(
    trials=None,
    budget=None,
    units=9,
    may_change_units=True,
    least_trials=1,
    eta=3,
    stops=True,
    pass_tokens=800_000,
    step_tokens=5000,
)


def asked(**changed: Any) -> Given:
    return replace(ASKED, **changed)


def test_a_search_of_forty_minutes() -> None:
    """Two slots at 1,100 tokens/s train 5.3 million tokens then, some six passes over the data."""
    choice = choose(2400.0, 2, COST, ASKED)
    assert (choice.trials, choice.units) == (11, 9)  # with 16, no run would see all of the data
    assert 0.8e6 <= choice.budget < 0.9e6
    assert choose(4800.0, 2, COST, ASKED).trials == 16


@settings(max_examples=100)
@given(
    st.floats(60, 1e6),
    st.integers(1, 64),
    st.builds(
        UnitCost,
        st.floats(20, 1e5),
        st.floats(0, 60),
        st.floats(0, 300),
        st.floats(0, 5),
        st.floats(0, 10),
    ),
    st.integers(10**4, 10**8),
)
def test_what_is_chosen_fits_into_the_limit(
    limit: float, slots: int, cost: UnitCost, pass_tokens: int
) -> None:
    given = asked(pass_tokens=pass_tokens, step_tokens=max(1, pass_tokens // 1000))
    try:
        choice = choose(limit, slots, cost, given)
    except InputError:
        return
    assert choice.trials >= max(LEAST, slots)
    assert choice.budget >= 4 * choice.units * given.step_tokens * 0.9
    levels = rungs(choice.units, 3)
    units, fixed = busiest(choice.trials, levels, slots, 3, cost)
    assert units * cost.unit_seconds(choice.budget / choice.units) + fixed < limit
    if choice.trials > max(MOST, slots):
        assert choice.budget >= 9.9 * pass_tokens  # more trials only where runs are long already
    elif choice.trials < max(USUAL, slots):
        assert choice.budget <= 1.3 * pass_tokens


@given(st.floats(600, 1e5), st.floats(1.01, 4), st.integers(1, 8))
def test_more_time_never_means_a_smaller_search(limit: float, more: float, slots: int) -> None:
    try:
        before = choose(limit, slots, COST, ASKED)
    except InputError:
        return
    later = choose(more * limit, slots, COST, ASKED)
    if later.units > before.units:  # nine units are better, and have fewer trials in equal time
        return
    assert later.trials >= before.trials
    assert later.trials * later.budget >= 0.99 * before.trials * before.budget


@pytest.mark.parametrize("trials", [1, 4, 20, 50])
def test_a_given_number_of_trials_is_kept(trials: int) -> None:
    choice = choose(7200.0, 2, COST, asked(trials=trials))
    assert choice.trials == trials
    assert choice.budget <= 10 * ASKED.pass_tokens


def test_fewer_trials_get_longer_runs() -> None:
    budgets = [choose(7200.0, 2, COST, asked(trials=n)).budget for n in (40, 20, 10)]
    assert budgets == sorted(budgets)
    assert budgets[0] < budgets[-1]


@pytest.mark.parametrize("limit", [3600.0, 7200.0, 36000.0])
def test_a_given_budget_is_kept_and_fills_the_time_with_trials(limit: float) -> None:
    budget = 200_000
    choice = choose(limit, 2, COST, asked(budget=budget, may_change_units=False))
    assert choice.budget == budget
    one_more = busiest(choice.trials + 1, (1, 3, 9), 2, 3, COST)
    assert one_more[0] * COST.unit_seconds(budget / 9) + one_more[1] > 0.85 * limit


def test_three_units_where_evaluation_would_take_most_of_nine() -> None:
    slow = replace(COST, part_seconds=40.0, whole_seconds=60.0)
    assert choose(1500.0, 2, slow, ASKED).units == 3
    assert choose(36000.0, 2, slow, ASKED).units == 9
    assert choose(36000.0, 2, slow, asked(units=5, may_change_units=False)).units == 5


def test_a_limit_that_is_too_short_says_what_would_do() -> None:
    for own in (ASKED, asked(trials=20), asked(budget=900_000, may_change_units=False)):
        with pytest.raises(InputError, match="is too short: 2 slots at 1,100 tokens/s") as caught:
            choose(60.0, 2, COST, own)
        found = re.search(r"take (?:(\d+):)?(\d+):(\d+) for", str(caught.value))
        assert found is not None
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        enough = 3600 * hours + 60 * minutes + seconds
        choose(enough + 1.0, 2, COST, own)
        with pytest.raises(InputError):
            choose(0.97 * enough, 2, COST, own)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "slots"), [(8, 1), (16, 1), (16, 2), (16, 4), (30, 2), (30, 16)])
def test_few_searches_take_longer_than_planned(n: int, slots: int) -> None:
    """The busiest slot is planned from a formula, and played by the real scheduler here."""
    beginning = Beginning(SearchOptions(), (1, 3, 9), n, ("default",), slots)
    planned, _ = busiest(n, (1, 3, 9), slots, 3, UnitCost(1.0, 0.0, 0.0, 0.0, 0.0))
    pace = Pace(1.0, 0.0, 0.0, 0.25, 0.0)
    took = [play(beginning, pace, random.Random(seed)).seconds for seed in range(60)]
    late = sum(seconds > planned / 0.9 for seconds in took)  # a tenth of the limit is a margin
    assert late <= 9
    assert planned < 2.2 * sorted(took)[30]


def test_the_line_says_all_that_was_chosen() -> None:
    line = sentence("40m", 2, COST, Choice(14, 9, 310_000), 0.3875, 4)
    assert line == (
        "40m with 2 slots at 1,100 tokens/s: 14 trials of 9 units, 310,000 tokens a full run "
        "(0.39 passes over the data), 4 of them from the portfolio"
    )
    assert sentence("2h", 1, COST, Choice(14, 9, 800_000), 1.0, 0).endswith(
        "(1 pass over the data)"
    )


def test_a_budget_below_one_pass_is_warned_of() -> None:
    (warning,) = below_one_pass(320_000, 800_000)
    assert warning.startswith("warning: a full run sees 0.4 of the training data; ")
    assert below_one_pass(800_000, 800_000) == ()
