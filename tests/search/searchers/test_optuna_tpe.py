"""Ray's own searcher and scheduler, which are kept for comparison: they must stay as they are."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from search.log.history import History
from search.log.trial import Status, TrialRecord
from search.schedulers.rungs import rungs
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.optuna_tpe import OptunaTpe
from spaces.catalogue import base_config, make_space
from trainable.data.sources import SampleData
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

SMOKE = make_space("smoke", base_config(EncoderConfig(), SampleData(), 0, Multitask()))
N_STARTUP, UNITS = 3, 4
SEEDS = st.integers(0, 10**6)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SHAPES = st.sampled_from([(4, 2), (9, 3), (10, 3), (8, 2)])


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


def play(seed: int, n_trials: int, history: History, tuned: Tuned, stock: OptunaTpe) -> None:
    """Let trials begin, report and end at random; both are to suggest the same."""
    draw = random.Random(seed)
    while True:
        running = [t for t in history.trials.values() if t.status == "running"]
        number = len(history.trials)
        if number < n_trials and (not running or draw.random() < 0.4):
            params = tuned.suggest(number)
            if number:  # the first is a given point, which the dispatcher does not ask for
                assert stock.suggest(number, history).params == params
                assert told(stock.study) == told(tuned.study)
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
    history, tuned, stock = History(), Tuned(seed), OptunaTpe(SMOKE, seed, N_STARTUP)
    play(seed, n_trials, history, tuned, stock)
    stock.suggest(n_trials, history)
    assert told(stock.study)[:-1] == told(tuned.study)


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
    history, stock = History(), OptunaTpe(SMOKE, 0, N_STARTUP)
    params = SMOKE.params_of(SMOKE.base)
    trial = history.trials[0] = TrialRecord(0, params, {}, 0.0, 0.0)
    trial.reports = {1: {"score": 0.1}, 2: {"score": 0.2}}
    stock.suggest(1, history)
    history.trials[1] = TrialRecord(1, params, {}, 0.0, 0.0)
    trial.reports[3], trial.status = {"score": 0.3}, "stopped"
    stock.suggest(2, history)
    assert told(stock.study)[0][2:] == ("COMPLETE", [0.3], "{1: 0.1, 2: 0.2}")


def test_suggestions_are_run_configs_with_their_params_beside_them() -> None:
    stock = OptunaTpe(SMOKE, 0, 2)
    suggestion = stock.suggest(0, History())
    assert suggestion.origin == "tpe"
    assert SMOKE.params_of(suggestion.run_config) == suggestion.params


@pytest.mark.parametrize("setting", ["_multivariate", "_group", "_constant_liar"])
def test_it_has_the_settings_that_conditional_params_need(setting: str) -> None:
    assert getattr(OptunaTpe(SMOKE, 0, 2)._search._sampler, setting) is True


def bare_asha(units: int, eta: int) -> Callable[[int, int, float], str]:
    """Return Ray's scheduler as Tune would call it."""
    asha = ASHAScheduler(
        time_attr="unit",
        metric="score",
        mode="max",
        max_t=units,
        grace_period=1,
        reduction_factor=eta,
    )
    added: set[int] = set()

    def report(number: int, unit: int, score: float) -> str:
        trial: Any = SimpleNamespace(trial_id=f"id{number}")
        nobody: Any = SimpleNamespace()
        if number not in added:
            added.add(number)
            asha.on_trial_add(nobody, trial)
        return asha.on_trial_result(nobody, trial, {"unit": unit, "score": score})

    return report


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=SEEDS, shape=SHAPES, n_trials=st.integers(1, 15), restart=st.floats(0, 1))
def test_stopping_asha_is_that_of_ray_also_when_made_anew(
    seed: int, shape: tuple[int, int], n_trials: int, restart: float
) -> None:
    units, eta = shape
    history, draw, bare = History(), random.Random(seed), bare_asha(units, eta)
    asha = StoppingASHA(history, units, eta)
    for number in range(n_trials):
        history.trials[number] = TrialRecord(number, {}, {}, 0.0, 0.0)
    while running := [t for t in history.trials.values() if t.status == "running"]:
        if draw.random() < restart:
            asha = StoppingASHA(history, units, eta)
        trial, score = draw.choice(running), round(draw.random(), 1)
        unit = trial.units + 1
        trial.reports[unit] = {"score": score}
        expected = bare(trial.number, unit, score)
        if unit == units:
            trial.status = "done"
            continue
        decision = asha.decide(trial, unit)
        assert (decision is None) == (unit not in rungs(units, eta))
        if decision is not None:
            assert decision.action == ("stop" if expected == "STOP" else "continue")
            trial.decided[unit] = decision.action
            better = sum(t.score_at(unit) > score for t in history.trials.values())
            assert (decision.rank, decision.among) == (
                better + 1,
                sum(unit in t.decided for t in history.trials.values()),
            )
        else:
            assert expected == "CONTINUE"
        trial.status = "stopped" if expected == "STOP" else "running"
