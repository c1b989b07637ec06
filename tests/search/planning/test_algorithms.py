from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.algorithms import NoSearch, make_scheduler, make_searcher
from search.planning.plan import Plan
from search.schedulers.base import Scheduler
from search.schedulers.promotion_asha import PromotionASHA
from search.schedulers.run_all import RunAll
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.base import Searcher, Suggestion
from search.searchers.gp.searcher import RungGp
from search.searchers.optuna_tpe import OptunaTpe
from search.searchers.random_search import RandomSearch
from search.searchers.stepwise import Stepwise

MakePlan = Callable[..., Plan]
SEARCHERS = {
    "rung-gp": RungGp,
    "random": RandomSearch,
    "stepwise": Stepwise,
    "tpe": OptunaTpe,
}


def searcher_of(plan: Plan) -> Searcher:
    return make_searcher(plan.options, plan.space, plan.n_trials, plan.rungs)


def scheduler_of(plan: Plan, history: History) -> Scheduler:
    return make_scheduler(plan.options, plan.n_trials, history)


@pytest.fixture
def with_options(plan_of: MakePlan) -> MakePlan:
    """Return a function from options that need no other data to a plan."""
    plan = plan_of(space="smoke")
    return lambda **changed: replace(plan, options=replace(plan.options, **changed))


@pytest.mark.parametrize("name", SEARCHERS)
def test_each_searcher_suggests_what_the_space_has(with_options: MakePlan, name: str) -> None:
    plan = with_options(searcher=name)
    searcher = searcher_of(plan)
    assert type(searcher) is SEARCHERS[name]
    suggestion = searcher.suggest(0, History())
    assert isinstance(suggestion, Suggestion)
    assert plan.space.params_of(suggestion.run_config) == suggestion.params


@pytest.mark.parametrize("name", ["rung-gp", "random", "tpe"])
def test_equal_seeds_suggest_equally_and_others_do_not(with_options: MakePlan, name: str) -> None:
    def suggested(seed: int) -> Any:
        found = searcher_of(with_options(searcher=name, seed=seed)).suggest(0, History())
        assert isinstance(found, Suggestion)
        return found.params

    assert suggested(0) == suggested(0)
    assert suggested(0) != suggested(1)


def test_the_beam_is_as_wide_as_asked_for(with_options: MakePlan) -> None:
    searcher = searcher_of(with_options(searcher="stepwise", beam=3))
    assert isinstance(searcher, Stepwise)
    assert searcher._beam == 3


@pytest.mark.parametrize(("n_trials", "n_startup"), [(3, 2), (12, 4), (300, 10)])
def test_a_third_of_the_trials_of_tpe_is_random_at_most_ten(
    with_options: MakePlan, n_trials: int, n_startup: int
) -> None:
    searcher = searcher_of(replace(with_options(searcher="tpe"), n_trials=n_trials))
    assert isinstance(searcher, OptunaTpe)
    sampler: Any = searcher._search._sampler
    assert sampler._n_startup_trials == n_startup


def test_rows_are_all_there_is(plan_of: MakePlan) -> None:
    plan = plan_of(space="ablation", rows="gradients/*", name="rows")
    searcher = searcher_of(plan)
    assert isinstance(searcher, NoSearch)
    assert searcher.suggest(len(plan.points), History()) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("promotion-asha", PromotionASHA), ("asha", StoppingASHA), ("none", RunAll)],
)
def test_each_scheduler_is_the_one_asked_for(
    with_options: MakePlan, name: str, kind: type[object]
) -> None:
    assert type(scheduler_of(with_options(scheduler=name), History())) is kind


def test_rungs_brackets_and_results_reach_the_scheduler(with_options: MakePlan) -> None:
    history = History()
    scheduler = scheduler_of(with_options(units=8, eta=2, brackets=3, seed=1), history)
    assert {scheduler.bracket(number) for number in range(50)} == {0, 1, 2}
    other = scheduler_of(with_options(units=8, eta=2, brackets=3, seed=2), history)
    numbers = range(50)
    assert [scheduler.bracket(n) for n in numbers] != [other.bracket(n) for n in numbers]
    trial = history.trials[0] = TrialRecord(0, {}, {}, 0.0, 0.0, bracket=1)
    trial.reports = {unit: {"score": 0.5} for unit in range(1, 5)}
    assert [scheduler.decide(trial, unit) is None for unit in range(1, 5)] == [
        True,
        False,
        True,
        False,
    ]


def test_ray_s_asha_has_the_units_and_the_eta_that_are_asked_for(with_options: MakePlan) -> None:
    def decisions(scheduler: Scheduler, history: History) -> list[Any]:
        found = []
        for number in range(6):
            trial = history.trials[number] = TrialRecord(number, {}, {}, 0.0, 0.0, bracket=0)
            for unit in range(1, 9):
                trial.reports[unit] = {"score": -number / 10}
                found.append(scheduler.decide(trial, unit))
        return found

    asked, by_hand = History(), History()
    plan = with_options(scheduler="asha", units=8, eta=2)
    expected = decisions(StoppingASHA(by_hand, 8, 2), by_hand)
    assert decisions(scheduler_of(plan, asked), asked) == expected
    swapped = History()
    assert decisions(StoppingASHA(swapped, 2, 8), swapped) != expected
