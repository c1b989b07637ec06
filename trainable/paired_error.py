"""How the scores of runs on the same examples would vary if the examples were others.

All runs saw the same examples, so that most of the luck of the draw cancels in a difference: its
paired error is often half of what two separate errors add up to. It is the standard deviation over
bootstrap resamples of the examples (Efron and Tibshirani 1993, chapter 6), each task's drawn for
itself; a resample takes the same examples from all runs.

A table of a task with classes is resampled by its cells: examples with the same label and the same
predictions of all runs are exchangeable, so their numbers in a resample are multinomial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from trainable.tasks import Task, TaskName, Tasks

Floats = NDArray[np.float64]
N_RESAMPLES = 1000
_CHUNK = 2_000_000  # entries of a resample table at a time: 16 MB


def paired_error(
    first: Mapping[TaskName, Floats],
    second: Mapping[TaskName, Floats],
    labels: Mapping[TaskName, Floats],
    tasks: Tasks,
    seed: int = 0,
) -> float:
    """Return the standard error of the first run's score minus the second's, at least 0.

    Args:
        first: Task -> (n,) predictions of one run: classes, or numbers.
        second: The same of the other.
        labels: Task -> (n,) labels, n at least 1.
        tasks: The tasks, with their metrics and weights.
        seed: Of the resamples.
    """
    one, two = _resampled([first, second], labels, tasks, seed)
    return float((one - two).std(ddof=1))


def score_covariance(
    runs: Sequence[Mapping[TaskName, Floats]],
    labels: Mapping[TaskName, Floats],
    tasks: Tasks,
    seed: int = 0,
) -> Floats:
    """Return the covariance of the scores of runs over draws of examples.

    Args:
        runs: Task -> (n,) predictions of each run: classes, or numbers.
        labels: Task -> (n,) labels, n at least 1.
        tasks: The tasks, with their metrics and weights.
        seed: Of the resamples.

    Returns:
        (n_runs, n_runs) float64. Its diagonal has the squared standard error of each score.
    """
    return np.atleast_2d(np.cov(_resampled(runs, labels, tasks, seed)))


def _resampled(
    runs: Sequence[Mapping[TaskName, Floats]],
    labels: Mapping[TaskName, Floats],
    tasks: Tasks,
    seed: int,
) -> Floats:
    """Return (n_runs, n_resamples) scores."""
    draw = np.random.default_rng(seed)
    total = sum(task.weight for task in tasks.values())
    score = np.zeros((len(runs), N_RESAMPLES))
    for name, task in tasks.items():
        own = np.stack([run[name] for run in runs]).astype(float)  # (n_runs, n)
        score += task.weight / total * _metrics(own, labels[name].astype(float), task, draw)
    return score


def _metrics(runs: Floats, labels: Floats, task: Task, draw: np.random.Generator) -> Floats:
    """Return (n_runs, n_resamples) metrics of a task."""
    if task.classes is not None:
        return _of_classes(runs, labels, task, draw)
    n = len(labels)
    parts = []
    size = max(1, _CHUNK // n)
    for start in range(0, N_RESAMPLES, size):
        rows = min(size, N_RESAMPLES - start)
        chosen = draw.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        drawn = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n)
        counts = drawn.T.astype(float, order="C")  # by example, as they are sorted and gathered
        parts.append(np.stack([_correlation(own, labels, counts, task) for own in runs]))
    return np.concatenate(parts, axis=1)


def _of_classes(runs: Floats, labels: Floats, task: Task, draw: np.random.Generator) -> Floats:
    cells, sizes = np.unique(np.stack([labels, *runs]), axis=1, return_counts=True)
    counts = draw.multinomial(len(labels), sizes / len(labels), size=N_RESAMPLES).astype(float)
    label, *predicted = cells.astype(int)
    return np.stack([_metric(own, label, counts, task) for own in predicted])


def _metric(
    predicted: NDArray[np.int_], label: NDArray[np.int_], counts: Floats, task: Task
) -> Floats:
    """Return (n_resamples,) metrics of a task with classes from the counts of its cells.

    Args:
        predicted: (n_cells,) classes.
        label: (n_cells,) classes.
        counts: (n_resamples, n_cells) examples in each cell.
        task: Which task.
    """
    n = counts.sum(1)
    right = counts @ (predicted == label)
    if task.metric == "accuracy":
        return np.asarray(right / n)
    classes = np.arange(task.n_classes or 0)
    of_label = counts @ (label[:, None] == classes)  # (n_resamples, n_classes)
    of_answer = counts @ (predicted[:, None] == classes)
    if task.metric == "macro_f1":
        hits = counts @ ((predicted == label)[:, None] & (label[:, None] == classes))
        present = of_label + of_answer  # scikit-learn leaves out a class that is in neither
        f1 = np.divide(2 * hits, present, out=np.zeros_like(hits), where=present > 0)
        return np.asarray(f1.sum(1) / (present > 0).sum(1))
    covariance = right * n - (of_label * of_answer).sum(1)
    spread = (n**2 - (of_label**2).sum(1)) * (n**2 - (of_answer**2).sum(1))
    out = np.zeros_like(n)
    return np.asarray(np.divide(covariance, np.sqrt(spread), out=out, where=spread > 0))


def _correlation(predicted: Floats, labels: Floats, counts: Floats, task: Task) -> Floats:
    """Return (n_resamples,) correlations, 0 where either side is constant.

    Args:
        predicted: (n,) numbers.
        labels: (n,) numbers.
        counts: (n, n_resamples) how often each example is in a resample.
        task: Its metric says whether numbers or their ranks are correlated.
    """
    if predicted.std() <= 1e-6 * (1 + np.abs(predicted).max()):  # as in `metrics.pearson`
        return np.zeros(counts.shape[1])
    n = len(labels)
    if task.metric == "spearman":
        x, y = (_ranks(own, counts) - (n + 1) / 2 for own in (predicted, labels))
        xx, yy, xy = (np.einsum("ir,ir,ir->r", counts, a, b) for a, b in ((x, x), (y, y), (x, y)))
    else:
        own = np.stack([predicted - predicted.mean(), labels - labels.mean()])
        sum_x, sum_y = own @ counts
        xx, yy, xy = np.stack([own[0] ** 2, own[1] ** 2, own[0] * own[1]]) @ counts
        xx, yy, xy = xx - sum_x**2 / n, yy - sum_y**2 / n, xy - sum_x * sum_y / n
    spread = np.maximum(xx, 0) * np.maximum(yy, 0)
    out = np.zeros_like(xy)
    return np.asarray(np.divide(xy, np.sqrt(spread), out=out, where=spread > 0))


def _ranks(values: Floats, counts: Floats) -> Floats:
    """Return (n, n_resamples) ranks of the examples in each resample; equal ones share theirs."""
    order = values.argsort()
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    sizes = np.add.reduceat(counts[order], starts, axis=0)  # (n_distinct, n_resamples)
    shared = sizes.cumsum(0) - (sizes - 1) / 2
    group = np.empty(len(values), int)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))
    return np.asarray(shared[group])
