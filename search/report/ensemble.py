"""The average of several runs, and whether it is better than the single runs.

The runs' probabilities (of classes) and scores (of decisions and numbers) are averaged with equal
weights, and so are their decision thresholds. Predictions follow from the averages as they do for
a single run.

The standard error of a difference is a paired bootstrap over examples: the examples of each task
are drawn again with replacement, and all runs and their average are scored on the same draw. It
says how much the difference varies between samples of examples, not between seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from search.report.seed_scores import column_width, heading
from trainable.losses import decide
from trainable.metrics import metric_of, scores, with_overall
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.seeds import derive
from trainable.task_config import pair_of
from trainable.tasks import Task, TaskName, Tasks
from trainable.training.corpus import Split
from trainable.training.predictions import LABELLED, Found

RESAMPLES = 1000
_DRAWS_AT_ONCE = 100
_NO_SPREAD = 1e-20  # a product of two variances
Labels = dict[Split, dict[TaskName, Tensor]]


@dataclass(frozen=True)
class Member:
    """A run in an ensemble, or the ensemble itself.

    Attributes:
        name: For people.
        found: Split -> task -> (n, n_classes) probabilities or (n, 1) scores.
        thresholds: Task -> smallest score of class 1, where there is one score.
        tasks: The tasks, with their weights in the score.
    """

    name: str
    found: Found
    thresholds: dict[TaskName, float]
    tasks: Tasks

    @classmethod
    def of(cls, name: str, found: Found, config: RunConfig) -> Member:
        """Return a run of a configuration, from what it found."""
        thresholds = {task: decision_threshold(pair_of(own)) for task, own in config.tasks.items()}
        return cls(name, found, thresholds, config.table)

    def predicted(self) -> Found:
        """Return split -> task -> (n,) predictions."""
        return {
            split: {
                task: decide(own, self.tasks[task], self.thresholds[task])
                for task, own in by_task.items()
            }
            for split, by_task in self.found.items()
        }


def average(members: Sequence[Member]) -> Member:
    """Return the average of members, which all have the same splits and examples."""
    found = {
        split: {
            task: torch.stack([member.found[split][task] for member in members]).mean(0)
            for task in tasks
        }
        for split, tasks in members[0].found.items()
    }
    thresholds = {
        task: statistics.fmean(member.thresholds[task] for member in members)
        for task in members[0].thresholds
    }
    return Member(f"average of {len(members)} runs", found, thresholds, members[0].tasks)


def compare(
    members: Sequence[Member], labels: Labels, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Score the ensemble against its members.

    Args:
        members: At least two.
        labels: *select* and *confirm* -> task -> (n,) labels.
        resamples: Draws of the bootstrap.

    Returns:
        The content of ensemble.json. `best_member` is the one with the best score on *select*, for
        the scores on *confirm*, too. Each split has the scores of `members`, their `mean`, those
        of the `ensemble`, and ensemble minus mean and minus best member with standard errors.
    """
    predicted, tasks = [m.predicted() for m in [*members, average(members)]], members[0].tasks
    found = {s: [scores(own[s], labels[s], tasks) for own in predicted] for s in LABELLED}
    on_select = [own["score"] for own in found["select"][:-1]]
    best = on_select.index(max(on_select))
    splits = {}
    for split in LABELLED:
        keys = found[split][0]
        rows = {key: torch.tensor([[own[key] for own in found[split]]]) for key in keys}
        drawn = _resampled([own[split] for own in predicted], labels[split], tasks, resamples)
        splits[split] = {
            "members": dict(zip((m.name for m in members), found[split][:-1], strict=True)),
            "mean": {key: float(row[0, :-1].mean()) for key, row in rows.items()},
            "ensemble": found[split][-1],
            "ensemble_minus_mean": _difference(rows, drawn, list(range(len(members)))),
            "ensemble_minus_best": _difference(rows, drawn, [best]),
        }
    return {"best_member": members[best].name, "resamples": resamples, "splits": splits}


def _difference(
    rows: dict[str, Tensor], drawn: dict[str, Tensor], others: list[int]
) -> dict[str, dict[str, float]]:
    """Return metric -> score of the ensemble, the last column, minus the mean of other columns."""
    return {
        key: {
            "difference": float(row[0, -1] - row[0, others].mean()),
            "standard_error": float((drawn[key][:, -1] - drawn[key][:, others].mean(1)).std()),
        }
        for key, row in rows.items()
    }


def _resampled(
    predicted: list[dict[TaskName, Tensor]],
    labels: dict[TaskName, Tensor],
    tasks: Tasks,
    resamples: int,
) -> dict[str, Tensor]:
    """Return metric -> (resamples, len(predicted)) float64 scores; a row shares one draw."""
    metrics = {}
    for name, task in tasks.items():
        rows = torch.stack([own[name] for own in predicted]).double()  # (m, n)
        generator = torch.Generator().manual_seed(derive(0, "bootstrap", name))
        parts = [
            _scored(task, rows, labels[name].double(), _draws(rows.shape[1], part, generator))
            for part in _parts(resamples)
        ]
        metrics[task.metric_key] = torch.cat(parts)
    return with_overall(metrics, tasks)


def _scored(task: Task, rows: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return (resamples, m) scores of m rows of (n,) predictions, (resamples, n) counts."""
    if task.metric == "accuracy":
        return _accuracies(rows, labels, counts)
    if task.metric == "pearson":
        return _correlations(rows, labels, counts)
    chosen = [torch.repeat_interleave(count.long()) for count in counts]
    found = [[metric_of(task, row[own], labels[own]) for row in rows] for own in chosen]
    return torch.tensor(found, dtype=torch.float64)


def _parts(resamples: int) -> list[int]:
    """Return how many draws to make at a time; all at once would need much memory."""
    return [min(_DRAWS_AT_ONCE, resamples - done) for done in range(0, resamples, _DRAWS_AT_ONCE)]


def _draws(n: int, resamples: int, generator: torch.Generator) -> Tensor:
    """Return how often each example was drawn, (resamples, n) float64; each row sums to n."""
    chosen = torch.randint(n, (resamples, n), generator=generator)
    ones = torch.ones((), dtype=torch.float64).expand(resamples, n)
    return torch.zeros(resamples, n, dtype=torch.float64).scatter_add(1, chosen, ones)


def _accuracies(rows: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return (resamples, m) accuracies of m rows of (n,) predictions."""
    return counts @ (rows == labels).double().T / len(labels)


def _correlations(rows: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return (resamples, m) Pearson correlations of m rows of (n,) predictions; 0 if undefined."""
    n = len(labels)
    x, y = rows - rows.mean(1, keepdim=True), labels - labels.mean()
    mean_x, mean_y = counts @ x.T / n, (counts @ y / n)[:, None]  # (resamples, m or 1)
    covariance = counts @ (x * y).T / n - mean_x * mean_y
    variance_x = counts @ x.square().T / n - mean_x.square()
    variance_y = (counts @ y.square() / n)[:, None] - mean_y.square()
    product = variance_x * variance_y
    return torch.where(product > _NO_SPREAD, covariance / product.clamp(min=_NO_SPREAD).sqrt(), 0.0)


def table(comparison: dict[str, Any], keys: Sequence[str]) -> str:
    """Return some metrics of the result of `compare` as text for people."""
    lines = []
    for split, own in comparison["splits"].items():
        rows = {f"mean of {len(own['members'])} runs": own["mean"]}
        rows[comparison["best_member"]] = own["members"][comparison["best_member"]]
        rows["ensemble"] = own["ensemble"]
        width = max(map(len, [*rows, "standard error"])) + 4
        lines += ["", heading(split, width, keys)]
        lines += [
            _line(name, {key: row[key] for key in keys}, width, "") for name, row in rows.items()
        ]
        for name in ("mean", "best"):
            found = own[f"ensemble_minus_{name}"]
            for row, key, sign in (
                (f"ensemble - {name}", "difference", "+"),
                ("standard error", "standard_error", ""),
            ):
                values = {metric: found[metric][key] for metric in keys}
                lines.append(_line(row, values, width, sign))
    note = f"best: on select, {comparison['best_member']}; standard errors by paired bootstrap"
    return "\n".join([*lines, note])


def _line(name: str, row: dict[str, float], width: int, sign: str) -> str:
    cells = (f"{value:{sign}{column_width(key)}.4f}" for key, value in row.items())
    return f"  {name:{width - 2}}" + "".join(cells)
