from __future__ import annotations

import heapq
import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from search.log.history import History, Journal
from search.loop.make_dispatcher import make_dispatcher
from search.planning.choose import (
    LEAST,
    MOST,
    USUAL,
    Given,
    TrialsAndBudget,
    _seconds,
    below_one_pass,
    busiest,
    choose,
    sentence,
)
from search.planning.plan import Plan
from search.planning.unit_cost import UnitCost
from tests.chaos.stub import Faults, report_of
from trainable.errors import InputError

MakePlan = Callable[..., Plan]
COST = UnitCost(1100.0, 3.0, 8.0, 0.5, 1.0)
GIVEN = Given(
    levels=(1, 3, 9), eta=3, least_trials=1, pass_tokens=800_000, step_tokens=5000, spent=20.0
)


def test_a_search_of_forty_minutes() -> None:
    """Two slots at 1,100 tokens/s train 4.4 million tokens in 85 % of that."""
    choice = choose(2400.0, 2, COST, GIVEN)
    assert LEAST <= choice.trials < USUAL  # with 16, no run would see all of the data
    assert 0.8e6 <= choice.budget < 0.9e6
    assert choose(4800.0, 2, COST, GIVEN).trials == USUAL


@settings(max_examples=30)
@example(117.0, 1, UnitCost(4989.0, 0.0, 0.0, 0.0, 5.0), 10_000)  # starts take most of the time
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
    given = replace(GIVEN, pass_tokens=pass_tokens, step_tokens=max(1, pass_tokens // 1000))
    try:
        choice = choose(limit, slots, cost, given)
    except InputError:
        return
    assert choice.trials >= max(LEAST, slots)
    assert choice.budget >= 9 * given.step_tokens  # else --budget would be refused
    units, fixed = busiest(choice.trials, GIVEN.levels, slots, 3, cost)
    assert units * cost.unit_seconds(choice.budget / 9) + fixed < limit
    if choice.trials > max(MOST, slots):
        assert choice.budget >= 9.9 * pass_tokens  # more trials only where runs are long already
    elif choice.trials < max(USUAL, slots):  # with one more, no run would see all of the data
        assert _seconds(choice.trials + 1, pass_tokens, slots, cost, given) > limit


@given(st.floats(600, 1e5), st.floats(1.01, 4), st.integers(1, 8))
def test_more_time_never_means_a_smaller_search(limit: float, more: float, slots: int) -> None:
    try:
        before = choose(limit, slots, COST, GIVEN)
    except InputError:
        return
    later = choose(more * limit, slots, COST, GIVEN)
    assert later.trials >= before.trials
    units = [busiest(own.trials, GIVEN.levels, slots, 3, COST)[0] for own in (before, later)]
    assert later.budget * units[1] >= 0.9 * before.budget * units[0]


def test_there_are_as_many_trials_as_slots_and_as_are_written_down() -> None:
    assert choose(36000.0, 40, COST, GIVEN).trials >= 40
    assert choose(7200.0, 2, COST, replace(GIVEN, least_trials=25)).trials >= 25


def test_a_limit_that_is_too_short_says_what_would_do() -> None:
    for slots in (1, 2, 8):
        with pytest.raises(InputError, match=r"is too short: . slots? at") as caught:
            choose(30.0, slots, COST, GIVEN)
        found = re.search(r"takes? (?:(\d+):)?(\d+):(\d+) for", str(caught.value))
        assert found is not None
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        enough = 3600 * hours + 60 * minutes + seconds
        choose(enough, slots, COST, GIVEN)
        with pytest.raises(InputError):
            choose(0.97 * enough, slots, COST, GIVEN)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "slots"), [(8, 1), (16, 2), (30, 2)])
def test_few_searches_take_longer_than_planned(
    plan_of: MakePlan, tmp_path: Path, n: int, slots: int
) -> None:
    """The busiest slot is planned from a formula; the real dispatcher and scheduler play it."""
    planned, _ = busiest(n, (1, 3, 9), slots, 3, UnitCost(1.0, 0.0, 0.0, 0.0, 0.0))
    took = sorted(_play(plan_of, tmp_path, n, slots, seed) for seed in range(25))
    assert took[18] <= planned / 0.85 <= 1.6 * took[12]


def _play(plan_of: MakePlan, folder: Path, n: int, slots: int, seed: int) -> float:
    """Return how long a search takes whose configurations take a unit's time on average."""
    draw, faults = random.Random(seed), Faults(str(folder))
    plan = plan_of(space="smoke", searcher="random", trials=n, seed=seed % 8)
    begin = {"event": "search", "time": 0.0, "version": 2, "n_trials": n}
    dispatcher = make_dispatcher(plan, Journal(History([begin])))
    factors: dict[int, float] = {}
    ends: list[tuple[float, str, int]] = []
    now, n_jobs = 0.0, 0
    while True:
        while len(ends) < slots:
            job = dispatcher.next_job(f"{n_jobs}")
            if job is not None:
                dispatcher.started(f"{n_jobs}")
                # Real searches had deviations of 0.1 to 0.8 of the logarithm; this is their middle.
                factor = factors.setdefault(job.trial.number, math.exp(draw.gauss(-0.08, 0.4)))
                heapq.heappush(ends, (now + factor, f"{n_jobs}", job.unit + 1))
                n_jobs += 1
            elif ends or dispatcher.is_finished:
                break
        if not ends:
            return now
        now, id, unit = heapq.heappop(ends)
        trial = dispatcher.jobs[id].trial
        report = report_of(faults, trial.run_config, unit)
        if dispatcher.reported(id, unit, report, report.pop("failure")):
            heapq.heappush(ends, (now + factors[trial.number], id, unit + 1))
        else:
            dispatcher.saved(id, f"{id}/{unit}")
            dispatcher.left(id, 1.0, 0.0)


def test_the_line_says_all_that_was_chosen() -> None:
    line = sentence("40m", 2, COST, TrialsAndBudget(14, 310_000), GIVEN, 4)
    assert line == (
        "40m with 2 slots at 1,100 tokens/s: 14 trials of 9 units, 4 of them from the portfolio, "
        "310,000 tokens a full run (0.39 passes over the data)"
    )
    assert sentence("2h", 1, COST, TrialsAndBudget(14, 800_000), GIVEN, 0).endswith(
        "(1 pass over the data)"
    )


def test_a_budget_below_one_pass_is_warned_of() -> None:
    (warning,) = below_one_pass(320_000, 800_000)
    assert warning.startswith("warning: a full run sees 0.4 of the training data; ")
    assert below_one_pass(800_000, 800_000) == ()


def test_finalists_get_their_room_in_the_limit() -> None:
    without, with_them = (
        choose(4800.0, 2, COST, GIVEN),
        choose(4800.0, 2, COST, replace(GIVEN, finalists=2)),
    )
    assert with_them.trials <= without.trials
    assert with_them.trials * with_them.budget < 0.9 * without.trials * without.budget


def test_an_audit_gets_its_room_where_there_are_enough_trials_for_one() -> None:
    """With more than 100 trials a search has an audit that it has not with fewer."""
    given = replace(GIVEN, audit=lambda n: 0.05 if n >= 100 else 0.0)
    limit = 100_000.0
    choice, without = (choose(limit, 4, COST, own) for own in (given, GIVEN))
    assert 100 <= choice.trials < without.trials
    always = replace(GIVEN, audit=lambda n: 0.05)
    assert _seconds(choice.trials, choice.budget, 4, COST, always) <= limit
    assert _seconds(without.trials, without.budget, 4, COST, always) > limit
    assert choose(4800.0, 4, COST, given) == choose(4800.0, 4, COST, GIVEN)
