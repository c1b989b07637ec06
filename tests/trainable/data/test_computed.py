"""Computed columns, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, Features, Value

from trainable.data.computed import Columns, computed

FEATURES = Features({"square": Value("int64")})


def squares(batch: Columns) -> Columns:
    return {"square": [number**2 for number in batch["number"] if number >= 0]}


def refuse(batch: Columns) -> Columns:
    raise AssertionError(f"computed again: {batch}")


def test_rows_may_be_left_out_and_old_columns_go() -> None:
    dataset = Dataset.from_dict({"number": [3, -1, 2]})
    table = computed(dataset, squares, FEATURES, "squares", None)
    assert table.to_pydict() == {"square": [9, 4]}


def test_one_key_is_computed_once(tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"number": [3]})
    computed(dataset, squares, FEATURES, "three", tmp_path)
    again = computed(dataset, refuse, FEATURES, "three", tmp_path)
    assert again.to_pydict() == {"square": [9]}
    other = computed(Dataset.from_dict({"number": [4]}), squares, FEATURES, "four", tmp_path)
    assert other.to_pydict() == {"square": [16]}
    assert len(list(tmp_path.glob("*.arrow"))) == 2
