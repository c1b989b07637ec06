"""Notes on data that can be read but may not be what the user means.

They compare train with dev: labels that cannot come from one source, and examples that are in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov

from trainable.tasks import Task, TaskName, Tasks

LEVEL = 0.001  # one of a thousand sound data sets is reported

Labels = NDArray[np.float32]  # (n,)


def check_splits(
    tasks: Tasks,
    splits: Mapping[TaskName, Mapping[str, Dataset]],
    *,
    compare_ids: Collection[TaskName],
) -> tuple[str, ...]:
    """Return what the user should know about the splits of each task, one sentence each.

    Args:
        tasks: The tasks.
        splits: As in `Examples`.
        compare_ids: Tasks of which an id in train and the same id in dev mean the same example;
            where ids are numbers that begin anew in each split, they do not.
    """
    notes: list[str] = []
    for name, by_split in splits.items():
        train, dev = by_split["train"], by_split["dev"]
        labels = [split.with_format("numpy")["label"][:] for split in (train, dev)]
        notes += [
            *unused_labels(tasks[name], labels[0]),
            *different_labels(tasks[name], *labels),
            *overlap(name, train, dev, compare_ids=name in compare_ids),
        ]
    return tuple(notes)


def unused_labels(task: Task, train: Labels) -> list[str]:
    """Note the classes that no train example has, or numbers on a scale from 0 to 1."""
    if task.classes is None:
        if train.max() > 1 or task.low != 0 or task.high <= 1:
            return []
        return [
            f"{task.name}-train: no label is above {train.max():g}, but labels go up to "
            f"{task.high:g}; check the scale of the labels"
        ]
    used = set(train.astype(int).tolist())
    unused = [repr(name) for label, name in enumerate(task.classes) if label not in used]
    if not unused:
        return []
    others = [repr(task.classes[label]) for label in sorted(used)]
    return [
        f"{task.name}-train: no example is of the class {' or '.join(unused)}, all are of "
        f"{' or '.join(others)}; check that these are the labels of {task.title}, which has "
        f"{task.n_classes} classes"
    ]


def different_labels(task: Task, train: Labels, dev: Labels) -> list[str]:
    """Note labels of train and dev that differ by more than chance, at `LEVEL`."""
    describe: Callable[[Labels], str]
    if task.classes is None:
        test, p, describe = "Kolmogorov-Smirnov", ks_p_value(train, dev), _quartiles
    else:
        test, p = "chi-squared", chi_squared_p_value(train, dev)
        describe = partial(_class_shares, task.classes)
    if p >= LEVEL:
        return []
    p_text = f"p = {p:.1g}" if p > 1e-16 else "p < 1e-16"
    return [
        f"WARNING: {task.name}: the labels of train and dev differ by more than chance ({test} "
        f"test, {p_text}): train has {describe(train)}; dev has {describe(dev)}. If a file that "
        "was sorted by label was cut in two, shuffle its rows and cut it again; else scores on dev "
        "are those of other data"
    ]


def chi_squared_p_value(first: Labels, second: Labels) -> float:
    """Return the p-value of Pearson's test that two samples have the same classes.

    Source: Pearson 1900, without Yates's correction, as `scipy.stats.chi2_contingency`, whose
    import takes longer than reading the data.
    """
    _, classes = np.unique(np.concatenate([first, second]), return_inverse=True)
    n_classes = int(classes.max()) + 1
    counts = np.stack(
        [
            np.bincount(part, minlength=n_classes)
            for part in (classes[: len(first)], classes[len(first) :])
        ]
    )  # (2, n_classes)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(chdtrc(n_classes - 1, statistic)) if n_classes > 1 else 1.0


def ks_p_value(first: Labels, second: Labels) -> float:
    """Return the p-value of the test that two samples of numbers have the same distribution.

    Source: Kolmogorov 1933, Smirnov 1948: the asymptotic two-sided p-value. Equal numbers make it
    larger than it is, so that there are fewer false alarms than `LEVEL` says.
    """
    values = np.unique(np.concatenate([first, second]))
    below = [
        np.searchsorted(np.sort(own), values, side="right") / len(own) for own in (first, second)
    ]
    distance = np.abs(below[0] - below[1]).max()
    size = len(first) * len(second) / (len(first) + len(second))
    return float(kolmogorov(math.sqrt(size) * distance))


def overlap(name: TaskName, train: Dataset, dev: Dataset, *, compare_ids: bool) -> list[str]:
    """Note dev examples that have the id or the text of a train example."""
    same_text = _is_in(comparable_texts(dev), comparable_texts(train))
    same_id = np.zeros(len(dev), bool)
    if compare_ids:
        same_id = _is_in(dev["id"][:], train["id"][:])
    n_both = int((same_text | same_id).sum())
    if not n_both:
        return []
    counts = [f"{int(same_text.sum()):,} with the same text"]
    if compare_ids:
        counts.append(f"{int(same_id.sum()):,} with the same id")
    return [
        f"{name}: {n_both:,} of {len(dev):,} dev examples are in train, too ({', '.join(counts)}); "
        "a score on examples that were trained on is too high: remove them from one of the files"
    ]


def _is_in(items: list[str], known: list[str]) -> NDArray[np.bool_]:
    there = set(known)
    return np.array([item in there for item in items], bool)


def comparable_texts(dataset: Dataset) -> list[str]:
    """Return the text of each example without differences of case, white space and order."""
    table = dataset.with_format("arrow")[:]
    columns = (table[column].to_pylist() for column in ("sentence1", "sentence2"))
    return [
        "\n".join(sorted(" ".join(text.casefold().split()) for text in pair))
        for pair in zip(*columns, strict=True)
    ]


def _class_shares(names: Sequence[str], labels: Labels) -> str:
    classes, counts = np.unique(labels.astype(int), return_counts=True)
    shares = 100 * counts / len(labels)
    return ", ".join(f"{s:.1f} % of {names[c]!r}" for c, s in zip(classes, shares, strict=True))


def _quartiles(labels: Labels) -> str:
    quartiles = ", ".join(f"{q:.2f}" for q in np.quantile(labels, (0.25, 0.5, 0.75)))
    return f"mean {labels.mean():.2f}, quartiles {quartiles}"
