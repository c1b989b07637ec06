"""Pictures of the errors of one model: confusion, similarity, and metrics by quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search.report.errors.measures import LabelRow, Quantity
from search.report.errors.winner_predictions import TaskPredictions
from trainable.tasks import TASKS, TaskName

CLASS_NAMES: dict[TaskName, tuple[str, ...]] = {
    "sst": ("very negative", "negative", "neutral", "positive", "very positive"),
    "para": ("no paraphrase", "paraphrase"),
}


def confusion_figure(matrices: Mapping[TaskName, NDArray[np.int64]]) -> Figure:
    """Draw the matrices of counts side by side; colours are shares of the label's examples."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    widths = [len(matrix) + 2 for matrix in matrices.values()]
    panels = figure.subplots(1, len(matrices), width_ratios=widths)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))  # (n_classes, n_classes)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            text = f"{matrix[row, column]}\n{share:.0%}"
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
        names = [f"{k} {text}" for k, text in enumerate(CLASS_NAMES[name])]
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="small")
        axes.set_yticks(range(len(names)), names, fontsize="small")
        axes.set(title=TASKS[name].title, xlabel="predicted", ylabel="label")
    figure.colorbar(image, ax=panels, label="share of the label's examples")
    return figure


def similarity_figure(predictions: TaskPredictions, rows: Sequence[LabelRow]) -> Figure:
    """Draw predicted against true similarity: every pair, and means with standard errors."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(
        predictions.labels, predictions.predicted, s=10, alpha=0.35, linewidth=0, label="a pair"
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
    end = predictions.task.label_max
    axes.plot([0, end], [0, end], color="black", linestyle="--", linewidth=1, label="as labelled")
    axes.set(
        xlabel="true similarity",
        ylabel="predicted similarity",
        title=predictions.task.title,
        xlim=(-0.15, end + 0.15),
        ylim=(-0.15, end + 0.15),
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def quantities_figure(found: Mapping[TaskName, Sequence[Quantity]]) -> Figure:
    """Draw a row of panels for each task, a column for each quantity; bars are standard errors."""
    n_columns = max(len(own) for own in found.values())
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(len(found), n_columns, sharey="row", squeeze=False)
    for line, (name, quantities) in zip(panels, found.items(), strict=True):
        for axes, quantity in zip(line, quantities, strict=True):
            _metric_by(axes, quantity)
        metric = "accuracy" if TASKS[name].n_classes else "correlation"
        line[0].set_ylabel(f"{TASKS[name].title}\n{metric}")
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
