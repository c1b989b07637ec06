"""Cut a dev set from train where there is none."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from trainable.data.check_splits import comparable_texts
from trainable.data.examples import in_memory
from trainable.errors import InputError
from trainable.tasks import Task

_MOST_BINS = 10  # of equal size, into which numbers are sorted


def cut_dev(task: Task, train: Dataset, share: float) -> tuple[Dataset, Dataset, str]:
    """Cut a dev set from a train set, with the share of every class.

    A hash of an example's text decides, so that the same examples are chosen when the file is
    sorted, and nearly the same ones when it is extended. Examples with the same text are on the
    same side, which no share or class overrules: none is trained on and scored, too. Numbers are
    sorted into bins of equal size, which stand for classes.

    Args:
        task: The task.
        train: In the schema of `Examples`.
        share: Of the distinct texts of each class that dev gets, in (0, 0.5]; at least one text of
            a class that has two.

    Returns:
        Train, dev, and a note with their sizes.

    Raises:
        InputError: One of them would be empty.
    """
    table = train.with_format("arrow")[:]
    hashes = np.array([_hash(text) for text in comparable_texts(train)], np.uint64)
    strata = _strata(task, table["label"].to_numpy(), share)
    chosen = []
    for stratum in np.unique(strata):
        own = np.unique(hashes[strata == stratum])  # sorted
        chosen.append(own[: max(1, round(share * len(own)))] if len(own) > 1 else own[:0])
    in_dev = np.isin(hashes, np.concatenate(chosen))
    if in_dev.all() or not in_dev.any():
        raise InputError(
            f"{task.title}: {len(train)} train examples are too few to cut a dev set from; give a "
            "dev file, or more examples"
        )
    note = (
        f"{task.name}: no dev set was given; {in_dev.sum():,} of the {len(train):,} train examples "
        f"are its dev set ({in_dev.mean():.1%}), chosen within each "
        f"{'tenth of the labels' if task.classes is None else 'class'} by a hash of their text"
    )
    return (*(in_memory(table.filter(pa.array(side))) for side in (~in_dev, in_dev)), note)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _strata(task: Task, labels: NDArray[np.float32], share: float) -> NDArray[np.int64]:
    """Return the class of each example, (n,), or the bin of its number."""
    if task.classes is not None:
        return labels.astype(np.int64)
    # Small files have fewer bins: each gives at least one example.
    n_bins = min(max(int(share * len(labels)), 1), _MOST_BINS)
    edges = np.quantile(labels, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right").astype(np.int64)
