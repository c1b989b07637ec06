from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.planning.choose import Given
from search.planning.describe import describe
from search.planning.fit_limit import fit_limit, usual_configs
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan, is_left_to_choose
from search.planning.resume import header
from search.planning.unit_cost import UnitCost
from trainable.errors import InputError

COST = UnitCost(3000.0, 1.0, 3.0, 0.1, 0.2)


@pytest.fixture
def plan_for(tmp_path: Path) -> Callable[..., Plan]:
    def make(**options: object) -> Plan:
        given = {"space": "smoke", "name": "search", "storage": str(tmp_path), **options}
        return make_plan(SearchOptions(**given))  # type: ignore[arg-type]

    return make


def test_a_time_limit_alone_is_enough(plan_for: Callable[..., Plan]) -> None:
    plan, line = fit_limit(plan_for(time_limit="40m"), 10.0, 2, COST)
    assert plan.n_trials == plan.chosen["trials"] == plan.options.trials
    assert plan.budget == int(plan.chosen["budget"])
    assert plan.space.base.multitask is not None
    assert plan.space.base.multitask.budget_tokens == plan.budget
    assert line.startswith(f"40m with 2 slots at 3,000 tokens/s: {plan.n_trials} trials of 9 units")
    assert header(plan)["chosen"] == plan.chosen
    assert not is_left_to_choose(plan.options)


def test_units_and_published_rows_are_kept(plan_for: Callable[..., Plan]) -> None:
    plan, _ = fit_limit(plan_for(time_limit="40m", units=4, eta=2), 10.0, 2, COST)
    assert (plan.options.units, plan.rungs) == (4, (1, 2, 4))
    start = plan_for(time_limit="40m", warm_start="published", space="full")
    plan, _ = fit_limit(start, 10.0, 2, COST)
    assert plan.n_trials >= len(start.points)


def test_only_a_time_limit_alone_leaves_something_to_choose() -> None:
    asked = SearchOptions(time_limit="40m")
    assert is_left_to_choose(asked)
    assert is_left_to_choose(replace(asked, warm_start="published"))
    for changed in (
        *({"trials": 10}, {"budget": "300k"}, {"warm_start": "runs/first"}),
        *({"space": "ablation"}, {"resume": True}, {"time_limit": None}),
    ):
        assert not is_left_to_choose(replace(asked, **changed))


@pytest.mark.parametrize("searcher", ["rung-gp", "random", "tpe", "stepwise"])
def test_the_default_and_configurations_of_the_search_are_measured(
    plan_for: Callable[..., Plan], searcher: str
) -> None:
    plan = plan_for(time_limit="40m", searcher=searcher, space="full")
    first, again, *others = usual_configs(plan)
    assert first == again == plan.space.base
    assert 3 <= len(others) <= 4


def test_a_dry_run_says_what_will_be_chosen(plan_for: Callable[..., Plan]) -> None:
    text = describe(plan_for(time_limit="40m", dry_run=True))
    assert "trials     chosen, searcher" in text
    assert "budget     chosen for --time-limit 40m at the start" in text
    assert "rung 0" not in text


def test_a_limit_that_is_too_short_is_refused_in_one_line(plan_for: Callable[..., Plan]) -> None:
    with pytest.raises(InputError, match=r"--time-limit 20s is too short: 2 slots") as caught:
        fit_limit(plan_for(time_limit="20s"), 5.0, 2, COST)
    assert "\n" not in str(caught.value)


def test_a_budget_below_one_pass_is_warned_of(plan_for: Callable[..., Plan]) -> None:
    notes = plan_for(budget="100k", dry_run=True).notes
    assert notes[-1].startswith("warning: a full run sees 0.39 of the training data; ")
    assert not any("warning" in note for note in plan_for(budget="1ep", dry_run=True).notes)


def test_the_audit_of_a_hundred_trials_is_planned_for(
    plan_for: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Given] = []

    def stop(limit: float, slots: int, cost: UnitCost, given: Given) -> None:
        asked.append(given)
        raise InputError("far enough")

    monkeypatch.setattr("search.planning.fit_limit.choose", stop)
    for audit in (None, 0.2, 0.0):
        with pytest.raises(InputError, match="far enough"):
            fit_limit(plan_for(time_limit="40m", dry_run=True, audit=audit), 10.0, 2, COST)
    shares = [(given.audit(99), given.audit(100)) for given in asked]
    assert shares == [(0.0, 0.05), (0.2, 0.2), (0.0, 0.0)]
