from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search.optuna import OptunaSearch

from search.plan import Plan
from search.searcher import METRIC, make_searcher
from spaces.catalogue import SPACE_NAMES
from trainable.run_config import RunConfig

MakePlan = Callable[..., Plan]
SEARCHERS = ("tpe", "random")


def searcher_of(plan: Plan) -> OptunaSearch:
    found = make_searcher(plan)
    assert isinstance(found, OptunaSearch)
    return found


def suggest(searcher: OptunaSearch, number: int) -> dict[str, Any]:
    found = searcher.suggest(f"id{number}")
    assert found is not None
    return found


def score(config: dict[str, Any]) -> float:
    """A made-up score that a searcher can learn from."""
    lr: float = config["multitask.optimization.lr"]
    return -abs(lr - 3e-3) * 100


def play(searcher: OptunaSearch, numbers: range) -> list[dict[str, Any]]:
    """Ask and tell; two trials are always under way."""
    found = []
    for number in numbers:
        found.append(suggest(searcher, number))
        if number > 0:
            last = found[-2] if len(found) > 1 else found[-1]
            result = {METRIC: score(last), "training_iteration": 1}
            searcher.on_trial_complete(f"id{number - 1}", result)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("space", SPACE_NAMES)
def test_suggestions_are_run_configs_with_their_params_beside_them(
    plan_of: MakePlan, space: str, name: str
) -> None:
    plan = plan_of(space=space, searcher=name)
    searcher = searcher_of(plan)
    for number in range(5):
        params = suggest(searcher, number)
        config = RunConfig.from_dict(params.pop("run_config"), "suggestion")
        assert plan.space.params_of(config) == params
        assert not any("/" in key for key in params)


@pytest.mark.parametrize("space", SPACE_NAMES)
def test_the_first_suggestion_is_the_base(plan_of: MakePlan, space: str) -> None:
    plan = plan_of(space=space)
    first = suggest(searcher_of(plan), 0)
    assert RunConfig.from_dict(first["run_config"], "suggestion") == plan.space.base


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
def test_equal_seeds_suggest_equally_and_others_do_not(plan_of: MakePlan, name: str) -> None:
    plan = plan_of(space="full", searcher=name)
    first, again = (play(searcher_of(plan), range(14)) for _ in range(2))
    assert first == again
    other = play(searcher_of(plan_of(space="full", searcher=name, seed=1)), range(14))
    assert [c["multitask.optimization.lr"] for c in other[1:]] != [
        c["multitask.optimization.lr"] for c in first[1:]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
def test_its_state_survives_saving(plan_of: MakePlan, tmp_path: Path, name: str) -> None:
    plan = plan_of(space="full", searcher=name)
    searcher = searcher_of(plan)
    play(searcher, range(8))
    searcher.save(str(tmp_path / "searcher.pkl"))
    restored = searcher_of(plan)
    restored.restore(str(tmp_path / "searcher.pkl"))
    assert play(restored, range(8, 14)) == play(searcher, range(8, 14))


def test_tpe_comes_with_the_settings_that_conditional_params_need(plan_of: MakePlan) -> None:
    sampler = searcher_of(plan_of())._sampler
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert (sampler._multivariate, sampler._group, sampler._constant_liar) == (True, True, True)
    random_sampler = searcher_of(plan_of(searcher="random"))._sampler
    assert isinstance(random_sampler, optuna.samplers.RandomSampler)


@pytest.mark.slow
def test_tpe_gathers_where_scores_are_high(plan_of: MakePlan) -> None:
    """A search that ignored what it was told would pass all other tests."""
    searcher = searcher_of(plan_of(space="smoke", trials=30))
    lrs = [c["multitask.optimization.lr"] for c in play(searcher, range(30))]
    far = [abs(lr - 3e-3) for lr in lrs]
    draw = random.Random(0)
    by_chance = [abs(10 ** draw.uniform(-3, -2) - 3e-3) for _ in range(1000)]
    assert sum(far[15:]) / 15 < 0.75 * sum(by_chance) / 1000
