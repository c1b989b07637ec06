from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.events import VERSION, EventLog
from search.history import History, Journal
from search.plan import Plan
from search.proposals import draw_params
from search.storage import EVENTS
from tests.benchmarks import search_quality
from tests.benchmarks.families import UNITS, Family, Surrogate, family, read_recorded, scaled
from tests.benchmarks.replay import CONTESTANTS, any_plan, replay
from tests.benchmarks.search_quality import budget_share, holm, verdicts
from trainable.component import Choice


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return any_plan(str(tmp_path_factory.mktemp("plan")))


@pytest.fixture(scope="module", params=["crossing", "parallel"])
def made_up(request: pytest.FixtureRequest) -> Family:
    return family(request.param)


def drawn(own: Family, n: int) -> list[dict[str, Any]]:
    generator = random.Random(0)
    return [draw_params(own.space.params(), generator) for _ in range(n)]


def test_curves_keep_their_order_or_lose_it(made_up: Family) -> None:
    curve_of = made_up.problem(3)
    curves = np.array([curve_of(params).scores for params in drawn(made_up, 200)])
    assert curves.shape == (200, UNITS)
    kept = stats.spearmanr(curves[:, 0], curves[:, -1]).statistic
    assert kept > 0.9 if made_up.name == "parallel" else kept < 0.5


def test_a_seed_is_a_problem(made_up: Family) -> None:
    (params,) = drawn(made_up, 1)
    one = made_up.problem(1)(params)
    assert made_up.problem(1)(dict(reversed(params.items()))) == one
    assert made_up.problem(2)(params) != one


def test_ranges_are_scaled_to_one(made_up: Family) -> None:
    (lr,) = [p for p in made_up.space.params() if p.name == "multitask.optimization.lr"]
    assert scaled(lr, lr.domain.low) == 0.0  # type: ignore[union-attr]
    assert scaled(lr, lr.domain.high) == 1.0  # type: ignore[union-attr]
    assert all(a < b for a, b in pairwise(scaled(lr, 1e-5 * 1.3**k) for k in range(12)))


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_a_search_spends_its_budget_and_no_more(
    plan: Plan, made_up: Family, contestant: str
) -> None:
    found = replay(plan, made_up, contestant, seed=5, budget=45)
    assert len(found.final) == 45
    assert found.final == replay(plan, made_up, contestant, seed=5, budget=45).final
    assert found.n_done <= 45 // UNITS
    assert found.n_trials >= 5
    assert found.final != replay(plan, made_up, contestant, seed=6, budget=45).final


def test_a_forest_finds_what_matters_and_repeats_itself() -> None:
    own = family("parallel")
    curve_of = own.problem(0)
    trials = [{"params": params, **curve_of(params)._asdict()} for params in drawn(own, 150)]
    surrogate = Surrogate(own.space, trials)
    assert len(surrogate.explained) == UNITS + 1
    assert min(surrogate.explained) > 0.6
    params = draw_params(own.space.params(), random.Random(1))
    assert surrogate.curve(params) == surrogate.curve(dict(params))
    shuffled = [{**s, "params": t["params"]} for t, s in zip(trials, trials[7:] + trials[:7])]  # noqa: B905
    assert max(Surrogate(own.space, shuffled).explained) < 0.4


def test_holm_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_share_of_a_budget() -> None:
    steps = np.linspace(0.1, 1.0, 10)
    slow, fast = np.tile(steps / 2, (5, 1)), np.tile(steps, (5, 1))
    assert budget_share(fast, slow) == (0.5, 0.5, 0.5)
    assert budget_share(slow, fast)[0] == float("inf")


def test_verdicts_name_what_is_better_and_bound_what_may_be() -> None:
    draw = np.random.default_rng(0)
    curves = {name: draw.normal(0.5, 0.1, (40, 10)) for name in CONTESTANTS}
    same = curves | dict.fromkeys(list(CONTESTANTS)[1:], curves[next(iter(CONTESTANTS))])
    assert "worse than: none; it is worse than none by more than 0.0000" in verdicts(same)
    better = same | {"random + asha": same["stepwise"] + 0.05}
    assert "worse than: random + asha; it" in verdicts(better)
    assert "by more than 0.0500" in verdicts(better)


def test_a_recording_holds_full_runs_and_what_they_are_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path / EVENTS)
    journal = Journal(History(), log)
    journal.write("search", version=VERSION, units=UNITS, n_trials=2)
    for number in (0, 1):
        begun = {"params": {"a": number}, "run_config": {}, "bracket": 0, "origin": "random"}
        journal.write("suggested", trial=number, **begun)
        for unit in range(1, UNITS + 1):
            metrics = {"score": unit / 10, "confirm_score": 0.4}
            journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")
    journal.write("ended", trial=0, status="done", error=None)
    journal.write("ended", trial=1, status="failed", error="no memory")
    log.close()
    monkeypatch.setattr(search_quality, "RECORDED", tmp_path / "curves.jsonl.gz")
    search_quality.record(tmp_path / EVENTS)
    (found,) = read_recorded(tmp_path / "curves.jsonl.gz")
    scores = [unit / 10 for unit in range(1, UNITS + 1)]
    assert found == {"params": {"a": 0}, "scores": scores, "worth": 0.4}


@pytest.mark.slow
def test_what_is_recorded_is_of_the_space_and_can_be_learnt_from() -> None:
    own, trials = family("recorded"), read_recorded()
    assert len(trials) >= 150
    assert len({json.dumps(trial["params"], sort_keys=True) for trial in trials}) == len(trials)
    domains = {param.name: param.domain for param in own.space.params()}
    for trial in trials:
        for name, value in trial["params"].items():
            domain = domains[name]
            in_range = (
                value in domain.values
                if isinstance(domain, Choice)
                else domain.low <= value <= domain.high
            )
            assert in_range, f"{name}: {value}"
        assert len(trial["scores"]) == UNITS
        assert all(-1 / 3 <= score <= 1 for score in (*trial["scores"], trial["worth"]))
    assert min(Surrogate(own.space, trials).explained) > 0.4
