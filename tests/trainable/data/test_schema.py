"""What every source brings its columns into; the refusals are in the tests of the sources."""

from __future__ import annotations

import pyarrow as pa

from trainable.data.schema import to_schema
from trainable.tasks import COURSE

ROWS = [("1", "ab", "c", 1.0), ("2", "d", "ef", 0.0)]


def columns(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    names = ("id", "sentence1", "sentence2", "label")
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})


def test_labels_of_test_are_left_out() -> None:
    found, _ = to_schema(columns(ROWS), COURSE["para"], "test", "a test")
    assert "label" not in found.column_names


def test_notes_and_rows_of_repetitions_agree() -> None:
    table = columns([ROWS[0], ROWS[1], ROWS[0], ROWS[0]])
    found, notes = to_schema(table, COURSE["para"], "train", "a test")
    assert found["id"][:] == ["1", "2"]
    assert notes == ("a test: 2 rows that repeated an id dropped",)
