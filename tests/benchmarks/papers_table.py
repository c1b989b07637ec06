"""The table of papers.py: mean scores of rows, and their differences to a reference row.

Scores are those on *select*. The standard error of a difference has two parts: one from examples,
by a bootstrap that draws the same examples for both rows, and one from seeds.
"""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor

from trainable.metrics import scores
from trainable.tasks import COURSE, TaskName

REFERENCE = "one-size/para-cross-cls-1layer"
_METRICS = ("score", *(task.metric_key for task in COURSE.values()))
_RESAMPLES = 1000

Tensors = dict[TaskName, Tensor]  # task -> (n_examples,) predictions or labels


def table(runs: dict[str, list[Tensors]], labels: Tensors) -> str:
    """Return mean scores, their standard errors over seeds, and differences to a reference.

    Args:
        runs: Row -> predictions with each seed; at least one.
        labels: Of the same examples.
    """
    heads = "".join(f" {key} | diff ± se |" for key in _METRICS)
    lines = [f"| row | n | reference |{heads}", "|---" * (3 + 2 * len(_METRICS)) + "|"]
    for name, own in runs.items():
        reference = _reference_of(name)
        others = runs.get(reference, []) if name != reference else []
        means, other_means = _means(own, labels), _means(others, labels)
        errors = _standard_errors(own, others, labels) if others else {}
        cells = []
        for key in _METRICS:
            values = [scores(found, labels, COURSE)[key] for found in own]
            sd = statistics.stdev(values) if len(values) > 1 else math.nan
            cells.append(f"{means[key]:.3f} ± {sd / math.sqrt(len(values)):.3f}")
            if others:
                cells.append(f"{means[key] - other_means[key]:+.3f} ± {errors[key]:.3f}")
            else:
                cells.append("-")
        lines.append(f"| {name} | {len(own)} | {reference} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _reference_of(name: str) -> str:
    """Return the row that differs from this one only in what this one is about."""
    if name.startswith("gradients/"):
        return "batch_order/lock_step"
    return "one-size/baseline" if name.startswith("one-size/sts") else REFERENCE


def _means(runs: list[Tensors], labels: Tensors) -> dict[str, float]:
    """Return metric -> mean over runs; empty without runs."""
    found = [scores(own, labels, COURSE) for own in runs]
    return {key: statistics.fmean(own[key] for own in found) for key in _METRICS if found}


def _standard_errors(
    own: list[Tensors], others: list[Tensors], labels: Tensors
) -> dict[str, float]:
    """Return metric -> standard error of the difference of the means over seeds."""
    generator = torch.Generator().manual_seed(0)
    n = min(len(own), len(others))
    drawn: dict[str, list[float]] = {key: [] for key in _METRICS}
    for _ in range(_RESAMPLES):
        rows = {t: torch.randint(len(y), (len(y),), generator=generator) for t, y in labels.items()}
        chosen = {t: y[rows[t]] for t, y in labels.items()}
        one, other = (
            _means([{t: p[rows[t]] for t, p in found.items()} for found in side[:n]], chosen)
            for side in (own, others)
        )
        for key in _METRICS:
            drawn[key].append(one[key] - other[key])
    errors = {}
    for key in _METRICS:
        by_seed = [
            scores(a, labels, COURSE)[key] - scores(b, labels, COURSE)[key]
            for a, b in zip(own, others, strict=False)
        ]
        seeds = statistics.variance(by_seed) / n if n > 1 else 0.0
        errors[key] = math.sqrt(statistics.variance(drawn[key]) + seeds)
    return errors
