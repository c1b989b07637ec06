from __future__ import annotations

import numpy as np
import pytest

from search.log.history import History, Journal
from search.log.trial import Metrics
from search.searchers.base import Params
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.observations import WHOLE, RungScores, have_tasks
from search.searchers.gp.results_by_rung import RungResults
from spaces.params import Param
from tests.course import TASK_METRICS
from trainable.component import FloatRange
from trainable.metrics import with_overall
from trainable.tasks import COURSE

PARAMS = [Param("lr", FloatRange(0.0, 1.0), ())]
RUNGS = (1, 3, 9)


def metrics(sst: float, para: float, sts: float) -> Metrics:
    return with_overall(dict(zip(TASK_METRICS, (sst, para, sts), strict=True)), COURSE)


def read(trials: list[tuple[Params, dict[int, Metrics]]], imported: bool = False) -> RungScores:
    """Return the scores of trials, indices in their order."""
    journal = Journal(History())
    for number, (params, reports) in enumerate(trials):
        if imported:
            journal.write("imported", params=params, run_config={}, reports=reports, search="other")
            continue
        journal.write("suggested", trial=number, params=params, run_config={}, bracket=0, origin="")
        for unit, own in reports.items():
            journal.write("reported", trial=number, unit=unit, metrics=own, failure="")
    results = RungResults(RUNGS, PARAMS)
    results.read(journal.history)
    scores = RungScores(results, RUNGS, SpaceEncoding(PARAMS), TASK_METRICS)
    scores.read(journal.history)
    return scores


@pytest.mark.parametrize("imported", [False, True])
def test_scores_are_the_metrics_at_the_rungs(imported: bool) -> None:
    reports = {1: metrics(0.1, 0.2, 0.3), 2: metrics(0.4, 0.5, 0.6), 3: metrics(0.7, 0.8, -0.9)}
    scores = read([({"lr": 0.2}, {}), ({"lr": 0.5}, reports)], imported)
    assert scores.metrics == TASK_METRICS
    assert scores.of([0, 1]) == [(1, 0, (0.1, 0.2, 0.3)), (1, 1, (0.7, 0.8, -0.9))]


@pytest.mark.parametrize("imported", [False, True])
def test_where_one_report_has_no_tasks_they_are_scores_alone(imported: bool) -> None:
    tasks: dict[int, Metrics] = {1: metrics(0.1, 0.2, 0.3)}
    scores = read([({"lr": 0.2}, tasks), ({"lr": 0.5}, {1: {"score": 0.5}})], imported)
    assert scores.metrics == WHOLE
    assert scores.of([0, 1]) == [(0, 0, (pytest.approx(0.2),)), (1, 0, (0.5,))]


def test_scores_that_are_no_numbers_are_none() -> None:
    lost: dict[int, Metrics] = {1: metrics(0.1, 0.2, 0.3), 3: {"score": None, "sst_acc": 0.5}}
    scores = read([({"lr": 0.2}, lost)])
    assert scores.metrics == TASK_METRICS
    assert [rung for _, rung, _ in scores.of([0])] == [0]


def test_a_failed_trial_has_the_worst_metrics_of_the_rung_that_it_did_not_reach() -> None:
    """Each the worst of any trial; of the last rung that anybody reached, if it reached more."""
    trials = [
        ({"lr": 0.1}, {1: metrics(0.5, 0.2, 0.3), 3: metrics(0.6, 0.9, 0.9)}),
        ({"lr": 0.2}, {1: metrics(0.4, 0.3, 0.3), 3: metrics(0.9, 0.6, 0.9)}),
        ({"lr": 0.3}, {}),
        ({"lr": 0.4}, {1: metrics(9.0, 9.0, 9.0)}),
        ({"lr": 0.5}, {unit: metrics(9.0, 9.0, 9.0) for unit in RUNGS}),
    ]
    scores = read(trials)
    assert scores.worst([2, 3, 4], scores.of([0, 1])) == [
        (2, 0, (0.4, 0.2, 0.3)),
        (3, 1, (0.6, 0.6, 0.9)),
        (4, 1, (0.6, 0.6, 0.9)),
    ]


def test_a_model_reads_each_trial_once_and_each_metric_by_itself() -> None:
    trials = [
        ({"lr": 0.1}, {1: metrics(0.1, 0.2, 0.3), 3: metrics(0.4, 0.5, 0.6)}),
        ({"lr": 0.2}, {1: metrics(0.9, 0.9, 0.9)}),
        ({"lr": 0.3}, {1: metrics(0.7, 0.8, 0.9)}),
    ]
    scores = read(trials)
    sst, para, sts = scores.as_results(scores.of([0, 2]))
    for own, expected in ((sst, [0.1, 0.4, 0.7]), (para, [0.2, 0.5, 0.8]), (sts, [0.3, 0.6, 0.9])):
        np.testing.assert_array_equal(own.scores, expected)
        np.testing.assert_array_equal(own.rungs, [0, 1, 0])
        np.testing.assert_array_equal(own.trials, [0, 0, 1])
        np.testing.assert_allclose(own.features, [[0.1], [0.3]])


def test_reports_that_say_nothing_of_the_tasks() -> None:
    whole = {"score": 0.5}
    lost: dict[str, float | None] = {"score": None, "sst_acc": 0.5, "para_acc": None}
    tasks = {"score": 0.5, "sst_acc": 0.5, "para_acc": 0.6, "sts_corr": 0.4}
    assert have_tasks([], TASK_METRICS)
    assert have_tasks([tasks, lost], TASK_METRICS)
    assert not have_tasks([tasks, whole], TASK_METRICS)
    assert not have_tasks([{**tasks, "sts_corr": None}], TASK_METRICS)


@pytest.mark.parametrize("which", range(4))
def test_one_report_without_the_tasks_is_found_whenever_it_comes(which: int) -> None:
    journal, results = Journal(History()), RungResults(RUNGS, PARAMS)
    scores = RungScores(results, RUNGS, SpaceEncoding(PARAMS), TASK_METRICS)
    for number in range(4):
        params = {"lr": 0.1 * number}
        journal.write("suggested", trial=number, params=params, run_config={}, bracket=0, origin="")
        own = {"score": 0.5} if number == which else metrics(0.1, 0.2, 0.3)
        journal.write("reported", trial=number, unit=1, metrics=own, failure="")
        scores.read(journal.history)
        assert scores.metrics == (WHOLE if number >= which else TASK_METRICS)
