from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.searchers.base import draw_params
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Results, RungModel
from search.searchers.gp.observations import WHOLE
from search.searchers.gp.per_task import ScoreModel, learn_each
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.families import space_of
from tests.benchmarks.recorded import TABLES, likeness, read_table
from tests.benchmarks.surrogate import Surrogate
from tests.course import TASK_METRICS
from trainable.component import Value
from trainable.tasks import COURSE


def check_params(space: Space, params: dict[str, Value]) -> None:
    domains = {param.name: param.domain for param in space.params()}
    for name, value in params.items():
        assert domains[name].contains(value), f"{name}: {value}"


def check_run(run: dict[str, Any]) -> None:
    assert len(run["scores"]) == UNITS
    known = [score for score in (*run["scores"], run["worth"]) if score is not None]
    assert len(known) >= 4
    assert all(-1 / 3 <= score <= 1 for score in known)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "n"), [("recorded", 150), ("tasks", 95)])
def test_recorded_runs_are_in_the_space_and_a_forest_explains_them(family: str, n: int) -> None:
    space, trials = space_of(family), read_table(TABLES[family][0])
    assert len(trials) >= n
    assert len({json.dumps(trial["params"], sort_keys=True) for trial in trials}) == len(trials)
    for trial in trials:
        check_params(space, trial["params"])
        for run in trial["runs"]:
            check_run(run)
    # A configuration that always predicts the same class scores the same with every seed.
    alike = [trial for trial in trials if trial["runs"][0] == trial["runs"][1]]
    assert len(alike) < 0.05 * len(trials)
    assert min(Surrogate(space, trials).explained) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize(("family", "n"), [("recorded", 100), ("tasks", 45)])
def test_landscapes_are_as_smooth_as_recorded_neighbours_are(family: str, n: int) -> None:
    space, (trials, near) = space_of(family), map(read_table, TABLES[family])
    for row in near:
        check_params(space, row["params"])
        check_run(row)
        assert row["params"] != trials[row["of"]]["params"]
    found = likeness(Surrogate(space, trials), trials, near)
    assert found.n == len(near) >= n
    assert found.error < 0.3
    assert abs(found.found - found.landscape) < 2 * found.error


def agreement(family: str, metrics: tuple[str, ...], n: int, seed: int) -> float:
    """Return the rank correlation of a model's predictions with the final scores of other trials.

    The model knows n trials, as early in a search: a third of them are promoted to the second
    rung, and a third of these to the last.
    """
    trials, encoding = read_table(TABLES[family][0]), SpaceEncoding(space_of(family).params())
    features = encoding.features(encoding.points([trial["params"] for trial in trials]))
    order = np.random.default_rng(seed).permutation(len(trials))
    known, held_out = order[:n], order[n:]
    runs = [trials[k]["runs"][seed % 2] for k in known]
    totals = np.array([run["scores"] for run in runs], dtype=float)  # (trials, UNITS)
    each = [{"score": run} | run.get("tasks", {}) for run in runs]
    curves = np.array([[own[metric]["scores"] for metric in metrics] for own in each], dtype=float)
    scores = []
    going = np.arange(len(known))
    for rung, unit in enumerate((0, 2, 8)):
        scores += [(k, rung, curves[k, :, unit]) for k in going]
        going = going[np.argsort(-totals[going, unit])[: len(going) // 3]]
    which, rungs, values = (np.array(own) for own in zip(*scores, strict=True))
    results = [Results(features[known], rungs, which, own) for own in values.T]
    learned = learn_each(results, metrics, 3, encoding, COURSE)
    model = ScoreModel(list(map(RungModel, results, learned)), [1.0] * len(metrics))
    predicted = model.mean(features[held_out])
    ends = [np.mean([run["scores"][-1] for run in trials[k]["runs"]]) for k in held_out]
    return float(stats.spearmanr(predicted, ends).statistic)


@pytest.mark.slow
def test_a_model_of_few_real_runs_ranks_the_others() -> None:
    found = [agreement("recorded", WHOLE, 40, seed) for seed in range(30)]
    assert np.mean(found) > 0.58
    assert min(found) > 0.3
    assert np.mean([agreement("recorded", WHOLE, 15, seed) for seed in range(30)]) > 0.47


@pytest.mark.slow
def test_a_model_of_the_tasks_needs_fewer_of_them() -> None:
    """A model of the tasks' metrics knows more from 25 trials than one of the score from 40."""
    seeds = range(30)
    few = [agreement("tasks", TASK_METRICS, 25, seed) for seed in seeds]
    more = [agreement("tasks", WHOLE, 40, seed) for seed in seeds]
    assert np.mean(few) > np.mean(more)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_likeness_is_what_neighbours_have_in_common(share: float) -> None:
    space, draw, names = space_of("parallel"), np.random.default_rng(0), random.Random(0)
    trials, near = [], []

    def run(score: float) -> dict[str, Any]:
        return {"scores": [score] * UNITS, "worth": score}

    for k in range(150):
        params = draw_params(space.params(), names)
        own = draw.normal()
        runs = [run(own + 0.5 * draw.normal()) for _ in range(2)]
        other = share * own + (1 - share) * draw.normal() + 0.5 * draw.normal()
        trials.append({"params": params, "runs": runs})
        near.append({"of": k, "params": params, **run(other)})
    found = likeness(Surrogate(space, trials), trials, near)
    assert found.found == pytest.approx(share, abs=3 * found.error)
    assert found.error < 0.2
    assert found.landscape == 1.0  # the same params
