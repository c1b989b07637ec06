from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.importance import MIN_TRIALS, importances
from spaces.params import Param
from trainable.component import Choice, FloatRange

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
PARAMS = (Param("a", FloatRange(0, 1), ()), Param("b", Choice(("x", "y", "z")), ()))


def trials(n: int, seed: int, effect: float) -> list[TrialRecord]:
    """Trials whose score is `effect` times a, and noise of deviation 1 / sqrt(12)."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(n):
        params = {"a": draw.random(), "b": str(draw.choice(["x", "y", "z"]))}
        score = effect * params["a"] + draw.random()
        found.append(TrialRecord(number, params, {}, 0.0, 0.0, reports={1: {"score": score}}))
    return found


def test_too_few_trials_say_nothing_about_importance() -> None:
    assert importances(PARAMS, trials(MIN_TRIALS - 1, 0, 1.0)) == []
    assert len(importances(PARAMS, trials(MIN_TRIALS, 0, 1.0))) == 2


def test_the_param_that_decides_is_the_most_important() -> None:
    first, second = importances(PARAMS, trials(200, 0, 3.0))
    assert (first.name, second.name) == ("a", "b")
    assert first.is_clear
    assert not second.is_clear
    # a explains 9 / 10 of the variance; four bins keep 15 / 16 of its own.
    assert first.share == pytest.approx(0.9 * 15 / 16, abs=0.06)


def test_a_param_without_effect_has_no_share_on_average_and_the_error_that_it_varies_by() -> None:
    found = [own for seed in range(120) for own in importances(PARAMS, trials(60, seed, 0.0))]
    for name in "ab":
        shares = [own.share for own in found if own.name == name]
        errors = [own.error for own in found if own.name == name]
        assert abs(np.mean(shares)) < 3 * np.std(shares) / np.sqrt(len(shares))
        assert 0.6 < np.mean(errors) / np.std(shares) < 2.0
    assert np.mean([own.is_clear for own in found]) < 0.1


def test_failed_trials_do_not_count_for_importance() -> None:
    own = trials(40, 0, 1.0)
    failed = [TrialRecord(n, {"a": 0.5, "b": "x"}, {}, 0.0, 0.0) for n in range(40, 45)]
    for trial in failed:
        trial.status, trial.reports = "failed", {1: {"score": -1.0}}
    assert importances(PARAMS, [*own, *failed]) == importances(PARAMS, own)


def test_importance_leaves_out_params_that_only_some_trials_have(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    plan = plan_of(space="heads")
    own = [trial_of(plan, n, {1: 0.1 + n / 100}) for n in range(30)]
    found = {one.name for one in importances(plan.space.params(), own)}
    assert found
    assert found <= {param.name for param in plan.space.params() if not param.parents}
