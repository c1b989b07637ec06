from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from search.searchers.base import draw_params
from spaces.space import Space
from tests.benchmarks.curve import UNITS, Params
from tests.benchmarks.families import space_of
from tests.benchmarks.task_surrogate import TaskSurrogate
from tests.course import TASK_METRICS

pytestmark = pytest.mark.slow  # it fits forests over a hundred params
MATTERS = ("sst.pooling", "para.pooling", "sts.pooling")


@pytest.fixture(scope="module")
def space() -> Space:
    return space_of("tasks")


def drawn(space: Space, n: int, seed: int) -> list[Params]:
    generator = random.Random(seed)
    return [draw_params(space.params(), generator) for _ in range(n)]


@pytest.fixture(scope="module")
def landscapes(space: Space) -> TaskSurrogate:
    """Landscapes of trials whose metrics depend on the pooling of their own head, and noise."""
    draw = np.random.default_rng(0)

    def run(params: Params) -> dict[str, Any]:
        ends = [float(params[name] == "mean") + 0.1 * draw.normal() for name in MATTERS]
        curves = [{"scores": [end] + [None] * (UNITS - 2) + [end], "worth": end} for end in ends]
        return {"tasks": dict(zip(TASK_METRICS, curves, strict=True))}

    return TaskSurrogate(
        space, [{"params": p, "runs": [run(p), run(p)]} for p in drawn(space, 60, 0)]
    )


def test_a_score_is_the_mean_of_the_reported_metrics_of_the_tasks(
    space: Space, landscapes: TaskSurrogate
) -> None:
    curve_of = landscapes.problem(3)
    for params in drawn(space, 5, 1):
        curve = curve_of(params)
        for unit in (1, UNITS):
            report = curve.report(unit)
            assert list(report) == ["score", *TASK_METRICS]
            assert report["score"] == pytest.approx(
                np.mean([report[metric] for metric in TASK_METRICS])
            )
        assert landscapes.problem(3)(params) == curve != landscapes.problem(4)(params)


def test_every_metric_depends_on_its_own_params(space: Space, landscapes: TaskSurrogate) -> None:
    asked = drawn(space, 100, 2)
    curves = [landscapes.problem(seed)(params) for seed, params in enumerate(asked)]
    ends = np.array([[own[-1] for own in curve.tasks] for curve in curves])
    for k, name in enumerate(MATTERS):
        is_mean = np.array([params[name] == "mean" for params in asked])
        assert ends[is_mean, k].mean() - ends[~is_mean, k].mean() > 0.6
        others = [j for j in range(3) if j != k]
        assert abs(ends[is_mean][:, others].mean() - ends[~is_mean][:, others].mean()) < 0.3
    worth = np.array([curve.worth for curve in curves])
    assert np.corrcoef(ends.mean(axis=1), worth)[0, 1] > 0.8
