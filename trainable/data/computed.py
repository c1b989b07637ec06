"""Columns computed from a data set, kept on disk for the next start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features
from filelock import FileLock

from trainable.data.progress import no_progress_bars

Columns = dict[str, list[Any]]


def computed(
    dataset: Dataset,
    compute: Callable[[Columns], Columns],
    features: Features,
    key: str,
    cache_dir: Path | None,
) -> pa.Table:
    """Compute new columns batch by batch, or map those of an earlier start into memory.

    One process computes, others that want the same wait for it.

    Args:
        dataset: What to compute from.
        compute: From the columns of a batch to the new columns, of any number of rows.
        features: Names and types of the new columns.
        key: Says all that the result depends on: the data's contents, and what `compute` uses.
        cache_dir: Where results are kept, or None to compute anew.
    """
    fingerprint = hashlib.sha256(key.encode()).hexdigest()[:16]
    lock = nullcontext() if cache_dir is None else FileLock(cache_dir / f"{fingerprint}.lock")
    with lock, no_progress_bars():
        result = dataset.map(
            compute,
            batched=True,
            remove_columns=dataset.column_names,
            features=features,
            new_fingerprint=fingerprint,
            cache_file_name=None if cache_dir is None else str(cache_dir / f"{fingerprint}.arrow"),
        )
    return result.with_format("arrow")[:]
