"""Scores over time: the best so far, and the learning curves of the best trials."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from search.log.trial import TrialRecord
from search.report.figures import save
from search.report.sections.base import FinishedSearch
from trainable.tasks import Tasks

_N_TRIALS = 5  # whose learning curves are drawn


def best_so_far(search: FinishedSearch) -> list[str]:
    """Return the picture of every trial's score, in the order in which trials ended."""
    if search.winner is None:
        return []
    save(best_so_far_figure(search.trials), search.folder / "best_so_far.png")
    return ["## Best score so far", "![Best score so far](best_so_far.png)"]


def learning_curves(search: FinishedSearch) -> list[str]:
    """Return the picture of the best trials' metrics and losses, unit by unit."""
    if search.winner is None:
        return []
    figure = learning_curves_figure(search.with_scores[:_N_TRIALS], search.plan.tasks)
    save(figure, search.folder / "learning_curves.png")
    return ["## Learning curves", "![Learning curves](learning_curves.png)"]


def best_so_far_figure(trials: list[TrialRecord]) -> Figure:
    """Draw each trial's score at the time when it ended, and the best of the full runs so far."""
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


def learning_curves_figure(trials: Sequence[TrialRecord], tasks: Tasks) -> Figure:
    """Draw each task's metric on *select*, and its training loss below, after each unit.

    Args:
        trials: With at least one report each, the best first.
        tasks: The tasks; a column each.
    """
    figure = Figure(figsize=(max(5, 3.3 * len(tasks)), 5.5), layout="constrained")
    panels = figure.subplots(2, len(tasks), sharex=True, squeeze=False)
    for column, (name, task) in enumerate(tasks.items()):
        upper, lower = panels[:, column]
        for place, trial in enumerate(trials):
            style = {"linewidth": 2.5 if place == 0 else 1.2, "zorder": 3 - place / 10}
            for axes, key in ((upper, task.metric_key), (lower, f"{name}_loss")):
                # The log has None for what is not known: a unit without a batch of the task.
                points = [
                    (u, m[key]) for u, m in sorted(trial.reports.items()) if m.get(key) is not None
                ]
                label = f"trial {trial.number}" + (" (best)" if place == 0 else "")
                units, values = zip(*points, strict=True) if points else ((), ())
                axes.plot(units, values, marker=".", label=label, **style)
        upper.set(title=task.title, ylabel=f"{task.metric_title} on select")
        lower.set(xlabel="units of the budget", ylabel="training loss")
        lower.xaxis.get_major_locator().set_params(integer=True)
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
    panels[0, 0].legend(fontsize="small")
    return figure
