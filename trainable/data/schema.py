"""Checks of raw columns, and the schema of `Examples` that they are brought into."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value
from numpy.typing import NDArray

from trainable.data.examples import in_memory
from trainable.errors import InputError, did_you_mean
from trainable.tasks import Task

_MOST_NAMED = 20  # labels that a message lists


def to_schema(
    table: pa.Table,
    task: Task,
    split: str,
    origin: str,
    *,
    may_lack_text: bool = False,
    labels: Mapping[str, int] | None = None,
) -> tuple[Dataset, tuple[str, ...]]:
    """Check raw columns and bring them into the schema of `Examples`.

    Text is stripped of surrounding white space. Dropped, and counted in the notes: rows without a
    label; repetitions of a row under the same id; pairs without one of their sentences, where that
    is allowed.

    Args:
        table: Columns `id` and `sentence1` (string), `sentence2` (string) for pairs, and `label`
            (string or number) unless `split` is "test". Further columns are ignored.
        task: Decides the number of sentences and the range of the labels.
        split: "train", "dev" or "test"; the labels of "test" are not looked at.
        origin: File or data set, for messages.
        may_lack_text: Whether a sentence may be empty.
        labels: Label in `table`, as `plain` writes it -> number of its class; None if the labels
            are numbers already.

    Returns:
        The data set and the notes.

    Raises:
        InputError: There are no rows, an id or a sentence is empty, an id has two different rows,
            or a label is not in `labels`; or without those not a number, out of range, or not an
            integer for a classification task.
    """
    rows = _trim(table, task, labelled=split != "test")
    notes: list[str] = []
    if split != "test":
        rows = _keep(rows, pc.not_equal(rows["label"], ""), notes, f"{origin}: %s without a label")
    rows = _check_text(rows, task, split, origin, notes, may_lack_text)
    rows = _drop_repeats(rows, origin, notes)
    if not rows.num_rows:
        raise InputError(f"{origin}: no usable rows; give a file with a header and examples")
    columns = {name: rows[name] for name in ("id", "sentence1", "sentence2")}
    features = {name: Value("string") for name in columns}
    if split != "test":
        columns["label"] = pa.array(_labels(rows, task, origin, labels))
        features["label"] = Value("float32")
    schema = Features(features)
    result = pa.table(columns).cast(schema.arrow_schema)
    return in_memory(result), tuple(notes)


def _trim(table: pa.Table, task: Task, labelled: bool) -> pa.Table:
    """Return the columns as stripped strings, null as "", with the number of the data row."""
    names = ["id", "sentence1", *(["sentence2"] if task.is_pair else [])]
    names += ["label"] if labelled else []
    columns = {
        name: pc.utf8_trim_whitespace(pc.fill_null(pc.cast(table[name], pa.string()), ""))
        for name in names
    }
    columns["row"] = pa.array(np.arange(1, table.num_rows + 1))
    if not task.is_pair:
        columns["sentence2"] = pa.array([""] * table.num_rows, pa.string())
    return pa.table(columns)


def _keep(rows: pa.Table, mask: pa.Array, notes: list[str], what: str) -> pa.Table:
    """Filter the rows and note how many went."""
    kept = rows.filter(mask)
    if n_dropped := rows.num_rows - kept.num_rows:
        notes.append(f"{what % (f'{n_dropped:,} row' + 's' * (n_dropped > 1))} dropped")
    return kept


def _check_text(
    rows: pa.Table, task: Task, split: str, origin: str, notes: list[str], may_lack_text: bool
) -> pa.Table:
    """Refuse empty ids, and refuse or drop rows with empty sentences."""
    names = ["sentence1", "sentence2"] if task.is_pair else ["sentence1"]
    if may_lack_text:
        if split != "test":  # a test row must stay: its prediction is asked for by id
            whole = functools.reduce(pc.and_, (pc.not_equal(rows[name], "") for name in names))
            rows = _keep(rows, whole, notes, f"{origin}: %s without one of the sentences")
        names = []
    for name in ["id", *names]:
        empty = rows.filter(pc.equal(rows[name], ""))["row"]
        if len(empty):
            raise InputError(
                f"{origin}: {name} is empty in {len(empty):,} rows, first in data row {empty[0]}; "
                "complete or remove these rows"
            )
    return rows


def _drop_repeats(rows: pa.Table, origin: str, notes: list[str]) -> pa.Table:
    """Drop rows that repeat an earlier one; refuse one id for two different rows."""
    ids = rows["id"].to_pylist()
    if len(set(ids)) == len(ids):
        return rows
    count = Counter(ids)
    first: dict[str, dict[str, object]] = {}
    repeats: set[object] = set()
    for row in rows.filter(pa.array([count[key] > 1 for key in ids])).to_pylist():
        number = row.pop("row")
        if first.setdefault(row["id"], row) is row:
            continue
        if first[row["id"]] != row:
            raise InputError(
                f"{origin}: id {row['id']!r} stands for two different examples, the second in data "
                f"row {number}; ids must be unique within a file"
            )
        repeats.add(number)
    mask = pa.array([number not in repeats for number in rows["row"].to_pylist()])
    return _keep(rows, mask, notes, f"{origin}: %s that repeated an id")


def _labels(
    rows: pa.Table, task: Task, origin: str, numbers: Mapping[str, int] | None
) -> NDArray[np.float32]:
    """Return the labels, (n,) float32, or refuse the first that is no label of the task."""
    texts = rows["label"].to_pylist()
    if numbers is not None:
        values = np.array([numbers.get(plain(text), math.nan) for text in texts], np.float64)
        allowed = _few(list(numbers))
    else:
        values = np.array([_number(text) for text in texts])  # (n,) float64
        allowed = f"a number from {task.low:g} to {task.high:g}"
        if task.n_classes is not None:
            values[values != np.round(values)] = math.nan
            allowed = f"an integer from 0 to {task.n_classes - 1}"
    good = (values >= task.low) & (values <= task.high)  # NaN compares false
    if not good.all():
        at = int(np.argmin(good))
        raise InputError(
            f"{origin}: the label in data row {rows['row'][at]} is {texts[at]!r}; "
            f"allowed for {task.title}: {allowed}{did_you_mean(texts[at], numbers or ())}"
        )
    return values.astype(np.float32)


def _few(names: list[str]) -> str:
    """Return names with commas between them, and how many there are behind the first ones."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def plain(text: str) -> str:
    """Return a label as text that equal numbers share: "1" for "1.0"."""
    value = _number(text)
    return str(int(value)) if value.is_integer() else text


def _number(text: str) -> float:
    """Return the number, or NaN, which no label may be."""
    try:
        return float(text)
    except ValueError:
        return math.nan
