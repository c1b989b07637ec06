from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.log.trial import TrialRecord
from search.replaying.curve_ends import CurveEnds, _slope


def test_what_is_known_stays_and_only_stopped_curves_get_an_end(record: Any) -> None:
    recording, _, curves = record(16, 1)
    ends = CurveEnds(recording.trials, 9)
    assert ends.n_drawn == sum(trial.status == "stopped" for trial in recording.trials) > 4
    drawn = [ends.draw(np.random.default_rng(k)) for k in range(5)]
    for trial in recording.trials:
        for own in drawn:
            assert len(own[trial.number]) == 9
            assert own[trial.number][: trial.units] == curves[trial.number][: trial.units]
        is_full = trial.units == 9
        assert (len({own[trial.number][-1] for own in drawn}) == 1) == is_full
    again = ends.draw(np.random.default_rng(0))
    assert again == drawn[0]


def test_a_failed_trial_fails_where_it_did() -> None:
    failed = TrialRecord(0, {}, {}, 0.0, 0.0, status="failed")
    failed.reports = {1: {"score": 0.3}}
    done = TrialRecord(1, {}, {}, 0.0, 0.0, status="done")
    done.reports = {unit: {"score": unit / 10} for unit in range(1, 4)}
    ends = CurveEnds([failed, done], 3)
    assert ends.n_drawn == 0
    assert ends.draw(np.random.default_rng(0)) == {0: [0.3], 1: [0.1, 0.2, 0.3]}


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_the_slope_is_near_that_of_the_full_runs(slope: float) -> None:
    draw = np.random.default_rng(0)
    early = draw.normal(0.5, 0.1, 200)
    last = 0.3 + slope * early + draw.normal(0, 0.02, 200)
    drawn = [_slope(early, last, draw) for _ in range(200)]
    assert np.mean(drawn) == pytest.approx(slope, abs=0.05)
    assert np.std(drawn) < 0.05


def test_with_few_full_runs_the_slope_is_not_known() -> None:
    draw = np.random.default_rng(0)
    two = np.array([0.5, 0.6])
    assert np.std([_slope(two, two, draw) for _ in range(200)]) > 0.5


def test_most_true_ends_are_within_the_interval_of_those_drawn(record: Any) -> None:
    covered = []
    for seed in range(3):
        recording, _, curves = record(24, seed, audit=0.1)
        ends = CurveEnds(recording.trials, 9)
        drawn = [ends.draw(np.random.default_rng(k)) for k in range(25)]
        for trial in recording.trials:
            if trial.units < 9:
                last = [own[trial.number][-1] for own in drawn]
                low, high = np.quantile(last, (0.05, 0.95))
                covered.append(low <= curves[trial.number][-1] <= high)
    assert 0.75 < np.mean(covered) <= 1.0
    assert len(covered) > 30
