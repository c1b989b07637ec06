"""Pictures of a search's trials.

matplotlib draws them: a Markdown file needs plain image files, and plotly writes those only where
a Chrome browser is installed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from search.log.trial import TrialRecord
from trainable.tasks import TASKS

_METRIC_NAMES = {"sst_acc": "accuracy", "para_acc": "accuracy", "sts_corr": "correlation"}


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(path)


def best_so_far_figure(trials: list[TrialRecord]) -> Figure:
    """Each trial's score against the order of ending, and the best among full runs so far."""
    ended = sorted((t for t in trials if t.reports and t.status != "failed"), key=lambda t: t.ended)
    full = max(t.units for t in ended)
    start = min(t.started for t in trials)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for is_full, marker, label in ((True, "o", f"ran {full} units"), (False, "x", "ended before")):
        own = [t for t in ended if (t.units == full) == is_full]
        axes.scatter(
            [(t.ended - start) / 60 for t in own],
            [t.score for t in own],
            marker=marker,
            label=label,
        )
    best, times, scores = float("-inf"), [], []
    for trial in ended:
        if trial.units == full:
            best = max(best, trial.score)
            times.append((trial.ended - start) / 60)
            scores.append(best)
    times.append((ended[-1].ended - start) / 60)
    axes.step(times, [*scores, best], where="post", label="best so far")
    axes.set(xlabel="minutes", ylabel="score on select", title="Best score so far")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def importance_figure(importances: dict[str, float]) -> Figure:
    """Horizontal bars, the most important param on top."""
    shown = sorted(importances.items(), key=lambda item: item[1])[-15:]
    figure = Figure(figsize=(7, 0.6 + 0.28 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name for name, _ in shown], [share for _, share in shown])
    axes.set(xlabel="share of the score's variation", title="Importance of params")
    axes.grid(axis="x", alpha=0.3)
    return figure


def learning_curves_figure(trials: Sequence[TrialRecord]) -> Figure:
    """For each task its metric on *select* above its training loss, after each unit.

    Args:
        trials: With at least one report each, the best first.
    """
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    panels = figure.subplots(2, len(TASKS), sharex=True)
    for column, (name, task) in enumerate(TASKS.items()):
        upper, lower = panels[:, column]
        for place, trial in enumerate(trials):
            style = {"linewidth": 2.5 if place == 0 else 1.2, "zorder": 3 - place / 10}
            for axes, key in ((upper, task.metric), (lower, f"{name}_loss")):
                # The log has None for what is not known: a unit without a batch of the task.
                points = [
                    (u, m[key]) for u, m in sorted(trial.reports.items()) if m.get(key) is not None
                ]
                label = f"trial {trial.number}" + (" (best)" if place == 0 else "")
                units, values = zip(*points, strict=True) if points else ((), ())
                axes.plot(units, values, marker=".", label=label, **style)
        upper.set(title=task.title, ylabel=f"{_METRIC_NAMES[task.metric]} on select")
        lower.set(xlabel="units of the budget", ylabel="training loss")
        lower.xaxis.get_major_locator().set_params(integer=True)
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
    panels[0, 0].legend(fontsize="small")
    return figure


matplotlib.use("Agg")  # no display is needed, or looked for
