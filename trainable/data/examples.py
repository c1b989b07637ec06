"""The raw examples of all tasks, of whatever source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.table import InMemoryTable

from trainable.tasks import TaskName, Tasks


@dataclass(frozen=True)
class Examples:
    """The raw examples of all tasks.

    Attributes:
        tasks: The tasks.
        splits: task -> split -> data set with the columns `id`, `sentence1`, `sentence2` (string;
            `sentence2` is "" for single-sentence tasks) and `label` (float32). Splits are "train",
            "dev" and, where there are unlabelled examples, "test", which has no column `label`.
        notes: What the user should know about the data, one sentence each.
        fingerprint: 16 hex digits of a SHA-256 of the contents; equal contents have equal digits
            on every machine.
    """

    tasks: Tasks
    splits: Mapping[TaskName, Mapping[str, Dataset]]
    notes: tuple[str, ...]
    fingerprint: str

    def train_sentences(self) -> Iterator[str]:
        """Yield every sentence of the train splits, for training a tokenizer."""
        for splits in self.splits.values():
            # Whole columns: iterating over a data set's column decodes it row by row.
            table = splits["train"].with_format("arrow")[:]
            for column in ("sentence1", "sentence2"):
                yield from (text for text in table[column].to_pylist() if text)


def collect(
    tasks: Tasks, splits: Mapping[TaskName, Mapping[str, Dataset]], notes: tuple[str, ...] = ()
) -> Examples:
    """Return the `Examples` of all tasks, with the fingerprint of their contents."""
    digest = hashlib.sha256()
    for task in tasks:
        for split, dataset in sorted(splits[task].items()):
            digest.update(f"{task}:{split}:{_digest(dataset.with_format('arrow')[:])}\n".encode())
    return Examples(tasks, splits, notes, digest.hexdigest()[:16])


def in_memory(table: pa.Table) -> Dataset:
    """Return a table in the schema of `Examples` as a data set."""
    # Without a fingerprint of ours, datasets would pickle the whole table to find one.
    return Dataset(InMemoryTable(table), fingerprint=_digest(table))


def _digest(table: pa.Table) -> str:
    """Return 16 hex digits of the contents, independent of Arrow's chunks and of the machine."""
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(name.encode())
        if name == "label":
            digest.update(table[name].to_numpy().astype("<f4").tobytes())
            continue
        # Lengths first: without them ("ab", "c") and ("a", "bc") would be the same bytes.
        digest.update(pc.binary_length(table[name]).to_numpy().astype("<i4").tobytes())
        digest.update("".join(table[name].to_pylist()).encode())
    return digest.hexdigest()[:16]
