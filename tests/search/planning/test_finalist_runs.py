from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.planning.finalist_runs import finalist_runs, finalist_units, more_runs
from search.schedulers.rungs import units_per_trial
from tests.search.conftest import MakePlan

LEVELS = (1, 3, 9)


@given(n=st.integers(1, 9), n_trials=st.integers(1, 500))
def test_they_have_a_quarter_of_the_budget_but_enough_to_show_something(
    n: int, n_trials: int
) -> None:
    runs = finalist_runs(n, n_trials, LEVELS, 3)
    search = 1 + n_trials * units_per_trial(LEVELS, 3) / 9
    assert 4 <= runs <= 10 * (n + 1)
    assert runs == 4 or runs / (runs + search) <= 0.27


def test_without_finalists_there_are_no_runs() -> None:
    assert finalist_runs(0, 100, LEVELS, 3) == finalist_units(0, 100, LEVELS, 3, 4) == 0
    assert more_runs(0) == ""


def test_the_seeds_of_a_round_run_at_the_same_time() -> None:
    assert finalist_runs(1, 12, LEVELS, 3) == 4
    assert [finalist_units(1, 12, LEVELS, 3, slots) for slots in (1, 2, 8)] == [36, 18, 18]


def test_the_plan_says_how_many(plan_of: MakePlan) -> None:
    from search.planning.describe import describe

    assert "finalists" not in describe(plan_of())
    assert "at most 2 and the default; 4 full runs" in describe(plan_of(finalists=2))
