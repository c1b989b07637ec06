"""Scores of runs that differ only in their seeds: mean, standard deviation, and a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Scores = Mapping[str, Mapping[str, float]]  # split -> metric -> score


def summary_of(scores: Mapping[int, Scores]) -> dict[str, Any]:
    """Return split -> metric -> `mean` and `stdev` over seeds (None for one seed)."""
    summary: dict[str, Any] = {}
    for split in next(iter(scores.values())):
        summary[split] = {}
        for key in next(iter(scores.values()))[split]:
            values = [own[split][key] for own in scores.values()]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            summary[split][key] = {"mean": statistics.fmean(values), "stdev": deviation}
    return summary


def heading(name: str, width: int, metrics: Iterable[str]) -> str:
    """Return the first line of a table: a name, and the metrics."""
    return f"{name:{width}}" + "".join(f"{key:>{column_width(key)}}" for key in metrics)


def column_width(metric: str) -> int:
    """Return the width of a metric's column."""
    return max(12, len(metric) + 2)


def seeds_table(
    scores: Mapping[int, Scores], summary: Mapping[str, Any], keys: Sequence[str]
) -> str:
    """Return the scores of each seed, their mean and their standard deviation, for people.

    Args:
        scores: Seed -> its scores.
        summary: Result of `summary_of`.
        keys: The metrics to show.
    """
    if not summary:
        return "trained on train and dev: there is nothing left to score on"
    lines = []
    for split, metrics in summary.items():
        lines += ["", heading(split, 12, keys)]
        for seed, own in scores.items():
            row = "".join(f"{own[split][key]:{column_width(key)}.4f}" for key in keys)
            lines.append(f"  seed {seed:<5}{row}")
        for name in ("mean", "stdev"):
            row = "".join(f"{_cell(metrics[key][name]):>{column_width(key)}}" for key in keys)
            lines.append(f"  {name:<10}{row}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
