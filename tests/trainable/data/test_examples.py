"""The fingerprint of the contents of examples."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import Dataset

from trainable.data.examples import collect, in_memory
from trainable.data.schema import to_schema
from trainable.tasks import COURSE

Row = tuple[str, str, str, float]
ROWS: list[Row] = [("1", "ab", "c", 1.0), ("2", "d", "ef", 0.0)]


def dataset(rows: list[Row]) -> Dataset:
    names = ("id", "sentence1", "sentence2", "label")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    return to_schema(table, COURSE["para"], "train", "a test")[0]


def fingerprint(train: list[Row], dev: list[Row] = ROWS) -> str:
    return collect(
        COURSE, {task: {"train": dataset(train), "dev": dataset(dev)} for task in COURSE}
    ).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        [("1", "a", "bc", 1.0), ROWS[1]],  # the same letters
        [("1", "abd", "c", 1.0), ("2", "ef", "d", 0.0)],
        [("1", "c", "ab", 1.0), ROWS[1]],
        [("1", "x", "c", 1.0), ROWS[1]],  # one column only
        [("1", "ab", "x", 1.0), ROWS[1]],
        [("1", "a", "c", 1.0), ("2", "bd", "ef", 0.0)],  # the same letters of one column
        [("1", "ab", "c", 0.0), ROWS[1]],
        [("3", "ab", "c", 1.0), ROWS[1]],
        ROWS[::-1],
        ROWS[:1],
        [*ROWS, ("3", "g", "h", 0.0)],
    ],
)
def test_other_contents_have_another_fingerprint(other: list[Row]) -> None:
    assert fingerprint(other) != fingerprint(ROWS)
    assert fingerprint(ROWS, other) != fingerprint(ROWS)
    assert fingerprint(other, ROWS) != fingerprint(ROWS, other)


def test_the_fingerprint_does_not_depend_on_arrow_s_chunks() -> None:
    table = dataset(ROWS).with_format("arrow")[:]
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert chunked["id"].num_chunks == 2
    parts = [
        collect(COURSE, {task: {"train": in_memory(own)} for task in COURSE})
        for own in (table, chunked)
    ]
    assert parts[0].fingerprint == parts[1].fingerprint


def test_the_fingerprint_tells_splits_apart() -> None:
    own = dataset(ROWS)
    found = {
        collect(COURSE, {task: {split: own} for task in COURSE}).fingerprint
        for split in ("train", "dev", "test")
    }
    assert len(found) == 3
