"""Ray's own searcher, which is kept for comparison: it must stay as it is."""

from __future__ import annotations

import math
import random
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search.optuna import OptunaSearch

from search.log.history import History
from search.log.trial import Status, TrialRecord
from search.searchers.base import params_key
from search.searchers.optuna_tpe import OptunaTpe
from tests.search.searchers.searcher_contract import (
    NINE,
    SEEDS,
    SPACES,
    MakeSearcher,
    SearcherContract,
)

SMOKE = SPACES["smoke"]
N_STARTUP, UNITS = 3, 4
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


class TestOptunaTpe(SearcherContract):
    space = SMOKE

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: OptunaTpe(space, seed, N_STARTUP)

    def test_made_anew_it_suggests_what_the_old_one_would_have(self) -> None:
        """It does not: the draws of Optuna's sampler begin anew."""
        history, old = History(), OptunaTpe(SMOKE, 0, N_STARTUP)
        first = old.suggest(0, history)
        history.trials[0] = TrialRecord(0, first.params, {}, 0.0, 0.0)
        again = OptunaTpe(SMOKE, 0, N_STARTUP).suggest(1, history)
        assert again.params == first.params != old.suggest(1, history).params

    def test_a_finite_space_is_suggested_once_each_and_then_nothing(self) -> None:
        """Optuna does not look whether params were tried, so it never comes to an end."""
        history, searcher = History(), OptunaTpe(NINE, 0, N_STARTUP)
        for number in range(12):
            suggestion = searcher.suggest(number, history)
            history.trials[number] = TrialRecord(number, suggestion.params, {}, 0.0, 0.0)
        assert len({params_key(trial.params) for trial in history.trials.values()}) < 12


class Tuned:
    """Ray's OptunaSearch, told of trials what Tune tells it: ray 2.60, tune_controller.py."""

    def __init__(self, seed: int) -> None:
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=N_STARTUP, multivariate=True, group=True, constant_liar=True
        )
        first = [SMOKE.params_of(SMOKE.base)]
        self.search = OptunaSearch(
            space=SMOKE, metric="score", mode="max", sampler=sampler, points_to_evaluate=first
        )

    @property
    def study(self) -> optuna.Study:
        study = self.search._ot_study
        assert study is not None
        return study

    def suggest(self, number: int) -> dict[str, Any]:
        self.search.suggest(str(number))
        return dict(self.search._ot_trials[str(number)].params)

    def report(self, number: int, unit: int, score: float, *, ends: bool) -> None:
        result = {"training_iteration": unit, "score": score}
        if ends:  # the searcher is not told of the report, and of the trial that it is complete
            self.search.on_trial_complete(str(number), result)
        else:
            self.search.on_trial_result(str(number), result)

    def fail(self, number: int) -> None:
        self.search.on_trial_complete(str(number), error=True)


def told(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.params, t.state.name, t.values, str(t.intermediate_values))
        for t in study.get_trials(deepcopy=False)
    ]


def play(seed: int, n_trials: int, history: History, tuned: Tuned, tpe: OptunaTpe) -> None:
    """Let trials begin, report and end at random; both are to suggest the same."""
    draw = random.Random(seed)
    while True:
        running = [t for t in history.trials.values() if t.status == "running"]
        number = len(history.trials)
        if number < n_trials and (not running or draw.random() < 0.4):
            params = tuned.suggest(number)
            if number:  # the first is a given point, which the dispatcher does not ask for
                assert tpe.suggest(number, history).params == params
                assert told(tpe.study) == told(tuned.study)
            history.trials[number] = TrialRecord(number, params, {}, 0.0, 0.0)
        elif running:
            step(draw, draw.choice(running), tuned)
        else:
            return


def step(draw: random.Random, trial: TrialRecord, tuned: Tuned) -> None:
    kind = draw.random()
    if kind < 0.1:
        trial.status, trial.failures = "failed", 3
        tuned.fail(trial.number)
        return
    unit = trial.units + 1
    score = math.nan if kind < 0.2 else draw.random()
    ended: Status = "done" if unit == UNITS else "stopped" if kind > 0.8 else "running"
    if 0.75 < kind <= 0.8:  # the run itself failed
        score, ended = -1 / 3, "failed"
    trial.reports[unit] = {"score": None if math.isnan(score) else score}
    trial.failures, trial.status = 0, ended
    tuned.report(trial.number, unit, score, ends=ended != "running")


@pytest.mark.slow
@settings(max_examples=8)
@given(seed=SEEDS, n_trials=st.integers(2, 9))
def test_it_suggests_and_tells_optuna_what_ray_does(seed: int, n_trials: int) -> None:
    history, tuned, tpe = History(), Tuned(seed), OptunaTpe(SMOKE, seed, N_STARTUP)
    play(seed, n_trials, history, tuned, tpe)
    tpe.suggest(n_trials, history)
    assert told(tpe.study)[:-1] == told(tuned.study)


@pytest.mark.slow
@settings(max_examples=8)
@given(seed=SEEDS, n_trials=st.integers(2, 6))
def test_made_anew_it_tells_optuna_what_it_had_told(seed: int, n_trials: int) -> None:
    history, tuned = History(), Tuned(seed)
    play(seed, n_trials, history, tuned, OptunaTpe(SMOKE, seed, N_STARTUP))
    for trial, status in zip(history.trials.values(), ("running", "interrupted"), strict=False):
        trial.status = status  # as a killed driver leaves it: not yet at its end
        trial.failures = 0
    again = OptunaTpe(SMOKE, seed, N_STARTUP)
    again.suggest(n_trials, history)
    before = {t[0]: t[1:] for t in told(tuned.study)}
    for number, params, *rest in told(again.study)[:-1]:
        assert params == before[number][0]
        if history.trials[number].is_open:
            assert rest[:2] == ["RUNNING", None]
        else:
            assert tuple(rest) == before[number][1:]


def test_a_trial_that_asha_stopped_is_told_as_complete() -> None:
    """What is wrong with it, and why there is a warning."""
    history, tpe = History(), OptunaTpe(SMOKE, 0, N_STARTUP)
    params = SMOKE.params_of(SMOKE.base)
    trial = history.trials[0] = TrialRecord(0, params, {}, 0.0, 0.0)
    trial.reports = {1: {"score": 0.1}, 2: {"score": 0.2}}
    tpe.suggest(1, history)
    history.trials[1] = TrialRecord(1, params, {}, 0.0, 0.0)
    trial.reports[3], trial.status = {"score": 0.3}, "stopped"
    tpe.suggest(2, history)
    assert told(tpe.study)[0][2:] == ("COMPLETE", [0.3], "{1: 0.1, 2: 0.2}")


@pytest.mark.parametrize("setting", ["_multivariate", "_group", "_constant_liar"])
def test_it_has_the_settings_that_conditional_params_need(setting: str) -> None:
    assert getattr(OptunaTpe(SMOKE, 0, 2)._search._sampler, setting) is True
