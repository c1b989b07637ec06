"""The published rows that a search ran: their scores, ours, and a verdict on the difference."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.markdown import number, table
from search.report.sections.base import FinishedSearch
from spaces.published import load_published
from spaces.row import Row
from trainable.metrics import metric_keys, standard_error, with_overall
from trainable.tasks import COURSE, TaskName

_ENCODER = "bert-base-uncased"  # of all five papers
# Examples of the course's files, which all five papers trained and scored on.
_TRAIN: dict[TaskName, int] = {"sst": 8_544, "para": 141_498, "sts": 6_040}
_DEV: dict[TaskName, int] = {"sst": 1_101, "para": 20_212, "sts": 863}
_Z = 1.96  # a difference of more standard errors is significant at the 5 % level
_ENOUGH = 0.9  # share of the published data and training from which scores are comparable


@dataclass(frozen=True)
class RowComparison:
    """Our runs of one published row, against the published scores.

    Attributes:
        row: The published row.
        n_runs: Full runs of its configuration.
        ours: Metric -> mean over these runs of the score on *confirm*.
        difference: Our overall score minus the published one.
        error: Standard error of the difference, from the examples of both dev sets and from seeds.
        reasons: Why the two cannot be compared; empty if they can.
    """

    row: Row
    n_runs: int
    ours: dict[str, float]
    difference: float
    error: float
    reasons: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`reproduced`, `beaten`, `below`, or `not comparable`."""
        if self.reasons or math.isnan(self.error):
            return "not comparable"
        if abs(self.difference) <= _Z * self.error:
            return "reproduced"
        return "beaten" if self.difference > 0 else "below"


def published_rows(search: FinishedSearch) -> list[str]:
    """Return the published rows that the search ran, beside what their papers reported."""
    plan, trials = search.plan, search.trials
    rows = [row for row in load_published() if row.id in plan.rows]
    if not rows:
        return []
    found = [compare_row(plan, row, trials) for row in rows]
    shared = _shared_reasons(found)
    metrics = list(metric_keys(COURSE))
    lines = []
    for row, own in zip(rows, found, strict=True):
        published = with_overall({metric: row.scores[metric] for metric in metrics}, COURSE)
        cells = [row.id, row.split, *(number(published[key], 3) for key in (*metrics, "score"))]
        if own is None:
            cells += [""] * len(metrics) + ["", "0", "", "no full run"]
        else:
            cells += [number(own.ours[key], 3) for key in (*metrics, "score")]
            difference = f"{own.difference:+.3f} ± {own.error:.3f}"
            reasons = "; ".join(reason for reason in own.reasons if reason not in shared)
            verdict = f"{own.verdict} ({reasons})" if reasons else own.verdict
            cells += [str(own.n_runs), difference, verdict]
        lines.append(cells)
    titles = ["SST", "para", "STS", "overall"]
    ours = [*(f"our {title}" for title in titles), "runs", "difference", "verdict"]
    header = ["row", "split", *titles, *ours]
    return [
        "## Published rows",
        "Scores of the papers, and ours on *confirm* as means over full runs. Overall is the mean "
        "of the three. The difference is of the overall scores; its standard error counts the "
        "examples of both dev sets (binomial, Fisher's z) and, from two runs on, the seeds. "
        f"A difference of more than {_Z} standard errors is *beaten* or *below*, a smaller one "
        "*reproduced*.",
        *([f"No run is comparable with its paper: {'; '.join(shared)}."] if shared else []),
        table(header, lines),
    ]


def _shared_reasons(found: list[RowComparison | None]) -> tuple[str, ...]:
    """Return the reasons that all comparisons have."""
    known = [own.reasons for own in found if own is not None]
    return tuple(own for own in known[0] if all(own in k for k in known)) if known else ()


def compare_row(plan: Plan, row: Row, trials: list[TrialRecord]) -> RowComparison | None:
    """Compare the full runs of a row's configuration with the row; None where there are none."""
    wanted = plan.rows[row.id].model_copy(update={"seed": 0})
    runs = [
        trial.last
        for trial in trials
        if trial.status == "done" and trial.config.model_copy(update={"seed": 0}) == wanted
    ]
    metrics = list(metric_keys(COURSE))
    scores = [
        with_overall(
            {metric: float(last[f"confirm_{metric}"] or 0.0) for metric in metrics}, COURSE
        )
        for last in runs
        if all(last.get(f"confirm_{metric}") is not None for metric in metrics)
    ]
    if not scores:
        return None
    ours = {key: statistics.fmean(own[key] for own in scores) for key in scores[0]}
    published = with_overall({metric: row.scores[metric] for metric in metrics}, COURSE)
    n_confirm = {task: size.n_confirm for task, size in plan.sizes.items()}
    variance = _variance(ours, n_confirm) + _variance(published, _DEV)
    if len(scores) > 1:
        variance += statistics.variance(own["score"] for own in scores) / len(scores)
    difference = ours["score"] - published["score"]
    reasons = tuple(_reasons(plan, row))
    return RowComparison(row, len(scores), ours, difference, math.sqrt(variance), reasons)


def _variance(scores: dict[str, float], n_examples: dict[TaskName, int]) -> float:
    """Return the variance of an overall score, given the number of examples of each task."""
    errors = [
        standard_error(task, scores[task.metric_key], n_examples[name])
        for name, task in COURSE.items()
    ]
    return sum(error**2 for error in errors) / len(errors) ** 2


def _reasons(plan: Plan, row: Row) -> list[str]:
    """Return why our score and the published one do not measure the same thing."""
    reasons = []
    if not plan.options.encoder.rstrip("/").endswith(_ENCODER):
        reasons.append("another encoder")
    if plan.options.data == "sample":
        reasons.append("other data")
    elif any(plan.sizes[task].n_train < _ENOUGH * n for task, n in _TRAIN.items()):
        reasons.append("smaller train sets")
    if row.split == "test":
        reasons.append("published on the labels of the hidden test set")
    config, per_example = plan.rows[row.id], {t: s.train_tokens for t, s in plan.sizes.items()}
    published = sum(row.epochs.get(t, 0) * per_example[t] * n for t, n in _TRAIN.items())
    if config.multitask is not None and plan.budget < _ENOUGH * published:
        share = plan.budget / published
        shown = "under 1%" if share < 0.01 else f"{share:.0%}"
        reasons.append(f"{shown} of the published training")
    return reasons
