from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.sections.base import FinishedSearch
from search.report.sections.published_rows import RowComparison, compare_row, published_rows
from spaces.published import Row, load_published
from tests.course import TASK_NAMES
from trainable.task_config import SingleClasses

MakePlan = Callable[..., Plan]
MakeSearch = Callable[..., FinishedSearch]
METRICS = ("sst_acc", "para_acc", "sts_corr")
N_TRAIN = {"sst": 8_544, "para": 141_498, "sts": 6_040}  # of the course's files
N_DEV = {"sst": 1_101, "para": 20_212, "sts": 863}
FIRST = (0.51, 0.83, 0.61)
SECOND = (0.49, 0.87, 0.62)
ROW = next(row for row in load_published() if row.id == "bertpp/D")


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    """A search that could reproduce a row: the papers' encoder and data, and all their training."""
    plan = plan_of(space="published", rows="bertpp/D,bertpp/D-test", repeats=3)
    sizes = {
        task: replace(plan.sizes[task], n_train=N_TRAIN[task], n_confirm=N_DEV[task] // 2)
        for task in TASK_NAMES
    }
    options = replace(plan.options, encoder="/models/bert-base-uncased/", data="cs224n")
    return replace(plan, options=options, sizes=sizes, budget=10**12)


def run(plan: Plan, scores: tuple[float, ...], seed: int = 0, **changes: Any) -> TrialRecord:
    """Return a full run of the row, with these scores on *confirm*."""
    config = plan.rows[ROW.id].model_copy(update={"seed": seed})
    trial = TrialRecord(seed, {}, config.to_dict(), 0.0, 1.0, status="done")
    confirm = {f"confirm_{key}": own for key, own in zip(METRICS, scores, strict=True)}
    trial.reports = {9: {"score": 0.0, **dict.fromkeys(METRICS, 0.0), **confirm}}
    return replace(trial, **changes)


def compared(plan: Plan, *trials: TrialRecord, row: Row = ROW) -> RowComparison:
    found = compare_row(plan, row, list(trials))
    assert found is not None
    return found


def variance(scores: Any, n: dict[str, float]) -> float:
    """Variance of the mean of three metrics, from the definitions of binomial and Fisher's z."""
    sst, para, sts = scores
    return float(
        sst * (1 - sst) / n["sst"] / 9
        + para * (1 - para) / n["para"] / 9
        + (1 - sts**2) ** 2 / (n["sts"] - 3) / 9
    )


def test_scores_of_full_runs_are_averaged_and_subtracted(plan: Plan) -> None:
    found = compared(plan, run(plan, FIRST, 0), run(plan, SECOND, 1))
    both = np.array([FIRST, SECOND])
    assert found.n_runs == 2
    assert [found.ours[key] for key in METRICS] == pytest.approx(both.mean(0).tolist())
    published = np.mean([ROW.scores[key] for key in METRICS])
    assert found.ours["score"] == pytest.approx(both.mean())
    assert found.difference == pytest.approx(both.mean() - published)


def test_the_error_counts_both_dev_sets_and_the_seeds(plan: Plan) -> None:
    halves = {task: N_DEV[task] // 2 for task in TASK_NAMES}
    published = variance([ROW.scores[key] for key in METRICS], N_DEV)
    expected = variance(FIRST, halves) + published
    assert compared(plan, run(plan, FIRST)).error == pytest.approx(math.sqrt(expected))
    both = np.array([FIRST, SECOND, (0.5, 0.8, 0.7)])
    trials = [run(plan, tuple(scores), seed) for seed, scores in enumerate(both.tolist())]
    expected = variance(both.mean(0), halves) + published + both.mean(1).var(ddof=1) / 3
    assert compared(plan, *trials).error == pytest.approx(math.sqrt(expected))


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        *((errors, "reproduced") for errors in (0.0, 1.9, -1.9)),
        *((2.1, "beaten"), (-2.1, "below")),
    ],
)
def test_the_verdict_is_the_difference_in_standard_errors(
    plan: Plan, errors: float, verdict: str
) -> None:
    found = compared(plan, run(plan, FIRST))
    assert found.reasons == ()
    assert replace(found, difference=errors * found.error).verdict == verdict
    assert replace(found, difference=errors * found.error, reasons=("x",)).verdict == (
        "not comparable"
    )
    assert replace(found, error=math.nan).verdict == "not comparable"


@pytest.mark.parametrize(
    "changes",
    [
        *({"status": status} for status in ("stopped", "failed", "interrupted", "running")),
        {"run_config": {"tasks": {"sst": SingleClasses(dropout=0.25).model_dump()}}},
        {"run_config": {"encoder": {"dropout": 0.25}}},
        {"run_config": {"multitask": {"budget_tokens": 12345}}},
        *({"missing": f"confirm_{key}"} for key in METRICS),
    ],
    ids=str,
)
def test_other_runs_do_not_count(plan: Plan, changes: dict[str, Any]) -> None:
    trial = run(plan, FIRST, 1)
    if "missing" in changes:
        trial.reports[9][changes["missing"]] = None
    elif "run_config" in changes:
        for part, fields in changes["run_config"].items():
            trial.run_config[part] |= fields
    else:
        trial.status = changes["status"]
    assert compare_row(plan, ROW, [trial]) is None
    assert compared(plan, trial, run(plan, SECOND)).n_runs == 1


def test_runs_on_the_same_thing_are_comparable(plan: Plan) -> None:
    for encoder in ("bert-base-uncased", "google-bert/bert-base-uncased", "/a/bert-base-uncased/"):
        own = replace(plan, options=replace(plan.options, encoder=encoder))
        assert compared(own, run(plan, FIRST)).reasons == ()


@pytest.mark.parametrize("encoder", ["tiny", "bert-large-uncased", "bert-base-uncased-2"])
def test_another_encoder_is_not_comparable(plan: Plan, encoder: str) -> None:
    own = replace(plan, options=replace(plan.options, encoder=encoder))
    assert compared(own, run(plan, FIRST)).reasons == ("another encoder",)


def test_the_sample_is_not_comparable(plan: Plan) -> None:
    own = replace(plan, options=replace(plan.options, data="sample"))
    assert compared(own, run(plan, FIRST)).reasons == ("other data",)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_smaller_train_set_of_any_task_is_not_comparable(plan: Plan, task: str) -> None:
    for share, reasons in ((0.91, ()), (0.89, ("smaller train sets",))):
        size = replace(plan.sizes[task], n_train=int(share * N_TRAIN[task]))  # type: ignore[index]
        own = replace(plan, sizes={**plan.sizes, task: size})  # type: ignore[dict-item]
        assert compared(own, run(plan, FIRST)).reasons == reasons


def test_the_labels_of_the_hidden_test_set_are_not_comparable(plan: Plan) -> None:
    row = replace(ROW, split="test")
    assert compared(plan, run(plan, FIRST), row=row).reasons == (
        "published on the labels of the hidden test set",
    )


@pytest.mark.parametrize("task", TASK_NAMES)
def test_less_training_than_published_is_not_comparable(plan: Plan, task: str) -> None:
    row = replace(ROW, epochs={task: 2.0, "text": 50.0, "nli": 50.0})
    published = 2 * N_TRAIN[task] * plan.sizes[task].train_tokens  # type: ignore[index]
    for share, reasons in (
        (0.91, ()),
        (0.89, ("89% of the published training",)),
        (0.005, ("under 1% of the published training",)),
    ):
        own = replace(plan, budget=round(share * published))
        assert compared(own, run(plan, FIRST), row=row).reasons == reasons


def cells(search: FinishedSearch) -> list[list[str]]:
    *_, table = published_rows(search)
    header, _, *lines = [re.split(r" \| ", line[2:-2]) for line in table.splitlines()]
    assert header == [
        *("row", "split", "SST", "para", "STS", "overall"),
        *("our SST", "our para", "our STS", "our overall", "runs", "difference", "verdict"),
    ]
    return lines


def test_the_table_has_what_was_compared(plan: Plan, search_of: MakeSearch) -> None:
    trials = [run(plan, FIRST, 0), run(plan, SECOND, 1)]
    lines = cells(search_of(plan, trials))
    assert [line[0] for line in lines] == list(plan.rows) == ["bertpp/D", "bertpp/D-test"]
    for line, name in zip(lines, plan.rows, strict=True):
        row = next(row for row in load_published() if row.id == name)
        published = [row.scores[key] for key in METRICS]
        ours = np.mean([FIRST, SECOND], 0)
        found = compared(plan, *trials, row=row)
        reasons = f" ({'; '.join(found.reasons)})" if found.reasons else ""
        assert line == [
            *(name, row.split),
            *(f"{score:.3f}" for score in (*published, np.mean(published))),
            *(f"{score:.3f}" for score in (*ours, ours.mean())),
            "2",
            f"{ours.mean() - np.mean(published):+.3f} ± {found.error:.3f}",
            found.verdict + reasons,
        ]
    assert lines[1][-1].startswith("not comparable (")


def test_reasons_that_all_rows_have_stand_above_the_table_once(
    plan: Plan, search_of: MakeSearch
) -> None:
    sample = replace(plan, options=replace(plan.options, data="sample"))
    *_, above, _ = published_rows(search_of(sample, [run(plan, FIRST)]))
    assert above == "No run is comparable with its paper: other data."
    dev, test = cells(search_of(sample, [run(plan, FIRST)]))
    assert dev[-1] == "not comparable"
    assert test[-1] == "not comparable (published on the labels of the hidden test set)"


def test_a_row_without_a_full_run_says_so(plan: Plan, search_of: MakeSearch) -> None:
    for line in cells(search_of(plan, [])):
        assert line[6:] == ["", "", "", "", "0", "", "no full run"]


def test_a_search_without_published_rows_has_no_section(
    plan_of: MakePlan, search_of: MakeSearch
) -> None:
    assert published_rows(search_of(plan_of(space="smoke"), [])) == []
