"""Pictures of the errors of one model: confusion, numbers, and metrics by quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search.report.errors.measures import LabelRow
from search.report.errors.quantities import Quantity
from search.report.errors.winner_predictions import TaskPredictions
from trainable.tasks import Tasks

_PANELS = 3  # in a row


def confusion_figure(matrices: Mapping[str, NDArray[np.int64]], tasks: Tasks) -> Figure:
    """Draw the matrices of counts side by side; colours are shares of the label's examples.

    Args:
        matrices: Task with classes -> (n_classes, n_classes) counts; at least one task.
        tasks: The tasks.
    """
    n_columns = min(_PANELS, len(matrices))
    n_lines = -(-len(matrices) // n_columns)
    widths = [len(matrix) + 2 for matrix in list(matrices.values())[:n_columns]]
    figure = Figure(figsize=(max(6, sum(widths)), 4.6 * n_lines), layout="constrained")
    panels = figure.subplots(n_lines, n_columns, squeeze=False, width_ratios=widths).flatten()
    for axes in panels[len(matrices) :]:
        axes.remove()
    panels = panels[: len(matrices)]
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))  # (n_classes, n_classes)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            text = f"{matrix[row, column]}\n{share:.0%}"
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
        names = [f"{k} {text}" for k, text in enumerate(tasks[name].classes or ())]
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="small")
        axes.set_yticks(range(len(names)), names, fontsize="small")
        axes.set(title=tasks[name].title, xlabel="predicted", ylabel="label")
    figure.colorbar(image, ax=panels, label="share of the label's examples")
    return figure


def numbers_figure(predictions: TaskPredictions, rows: Sequence[LabelRow]) -> Figure:
    """Draw predicted against true numbers: every example, and means with standard errors."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(
        predictions.labels, predictions.predicted, s=10, alpha=0.35, linewidth=0, label="an example"
    )
    shown = [row for row in rows if row.predicted.n]
    axes.errorbar(
        [row.label for row in shown],
        [row.predicted.score for row in shown],
        yerr=[row.predicted.error for row in shown],
        fmt="o-",
        color="tab:orange",
        capsize=3,
        label="mean and standard error",
    )
    ends = [predictions.task.low, predictions.task.high]
    margin = 0.03 * (ends[1] - ends[0])
    axes.plot(ends, ends, color="black", linestyle="--", linewidth=1, label="as labelled")
    axes.set(
        xlabel="label",
        ylabel="prediction",
        title=predictions.task.title,
        xlim=(ends[0] - margin, ends[1] + margin),
        ylim=(ends[0] - margin, ends[1] + margin),
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def quantities_figure(found: Mapping[str, Sequence[Quantity]], tasks: Tasks) -> Figure:
    """Draw a row of panels for each task, a column for each quantity; bars are standard errors."""
    n_columns = max(len(own) for own in found.values())
    figure = Figure(figsize=(10, 2.5 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), n_columns, sharey="row", squeeze=False)
    for line, (name, quantities) in zip(panels, found.items(), strict=True):
        for axes, quantity in zip(line, quantities, strict=True):
            _metric_by(axes, quantity)
        line[0].set_ylabel(f"{tasks[name].title}\n{tasks[name].metric_title}")
    return figure


def _metric_by(axes: Axes, quantity: Quantity) -> None:
    ends = np.array([[row.low, row.mean, row.high] for row in quantity.rows]).T  # (3, n_bins)
    low, mean, high = np.log10(1 + ends) if quantity.is_count else ends
    axes.errorbar(
        mean,
        [row.metric.score for row in quantity.rows],
        xerr=[mean - low, high - mean],
        yerr=[row.metric.error for row in quantity.rows],
        fmt="o",
        capsize=3,
        ecolor="tab:gray",
    )
    name = f"{quantity.name}, log10(1 + count)" if quantity.is_count else quantity.name
    axes.set_xlabel(name, fontsize="small")
    axes.grid(alpha=0.3)
