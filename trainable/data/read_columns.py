"""Columns of any file of examples, as strings."""

from __future__ import annotations

import json
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainable.cache.files import reading
from trainable.data.data_file import DataFile
from trainable.data.open_file import open_text
from trainable.data.read_delimited import read_delimited
from trainable.errors import InputError, did_you_mean


def read_columns(file: DataFile, *, labelled: bool, origin: str) -> tuple[pa.Table, list[str]]:
    """Read the columns of a split as strings.

    Args:
        file: The file.
        labelled: Whether the label is read.
        origin: What notes call the file.

    Returns:
        A table with the columns `id` (the number of the row, from 0, where the file has none),
        `sentence1`, perhaps `sentence2` and `label`; and notes on rows that may be damaged.

    Raises:
        InputError: The file cannot be read, has another format, lacks a column, or has no rows.
    """
    wanted = file.columns.named(labelled=labelled)
    names = tuple(wanted.values())
    notes: list[str] = []
    columns: list[Any]
    if file.format == "jsonl":
        columns = _read_json_lines(Path(file.path), names)
    elif file.format == "parquet":
        columns = _read_parquet(Path(file.path), names)
    else:
        columns, notes = read_delimited(file, names, origin)
    arrays = [
        pa.array(column, pa.string()) if isinstance(column, list) else column for column in columns
    ]
    return with_ids(pa.table(arrays, list(wanted))), notes


def with_ids(columns: pa.Table) -> pa.Table:
    """Return the table with the numbers of the rows, from 0, as ids where it has no ids."""
    if "id" in columns.column_names:
        return columns
    numbers = pa.array(range(columns.num_rows))
    return columns.append_column("id", pc.cast(numbers, pa.string()))


def _read_json_lines(path: Path, names: tuple[str, ...]) -> list[list[str]]:
    """Return columns of a file with a JSON object in each line; blank lines do not count."""
    rows: list[list[str]] = []
    keys: dict[str, None] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = _parse(path, number, line)
            keys |= dict.fromkeys(row)
            rows.append([_json_text(path, number, name, row.get(name)) for name in names])
    if not rows:
        raise InputError(f"{path} is empty; give a file with one JSON object in each line")
    _find_all(path, names, list(keys))
    return [list(column) for column in zip(*rows, strict=True)]


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return the object of a line."""
    try:
        row = json.loads(
            line.strip(), parse_constant=_no_constant, object_pairs_hook=_without_double_keys
        )
    except ValueError as error:
        at = f"{error.msg}, column {error.colno}" if isinstance(error, JSONDecodeError) else error
        raise InputError(
            f"{path}, line {number}: not valid JSON ({at}); give one object in each line"
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"{path}, line {number}: {line.strip()!r:.60} is no object; give one object in each "
            'line, such as {"text": "Good.", "label": 1}'
        )
    return row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object with each key once; `json` would keep the last value of a key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is given twice, remove one")
    return found


def _json_text(path: Path, number: int, name: str, value: Any) -> str:
    """Return a value as text: "" for null, "true" and "false"."""
    if isinstance(value, str):
        if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value):
            return value
        raise InputError(
            f"{path}, line {number}: {name!r} is {json.dumps(value)!r:.60}, which has half of a "
            "letter (a lone surrogate); write the file again as UTF-8"
        )
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise InputError(
        f"{path}, line {number}: {name!r} is {json.dumps(value)!r:.60}; give text or a number"
    )


def _read_parquet(path: Path, names: tuple[str, ...]) -> list[pa.ChunkedArray]:
    """Return columns of a Parquet file as strings; null stays null."""
    with reading(path), path.open("rb") as content:
        try:
            file = pq.ParquetFile(content)
            _find_all(path, names, file.schema_arrow.names)
            columns = [file.read([name]).column(name) for name in dict.fromkeys(names)]
            for column in columns:
                column.validate(full=True)  # text may not be UTF-8
        except (pa.ArrowException, OSError) as error:  # it raises the second at a bad header
            raise InputError(
                f"cannot read {path} as Parquet: {' '.join(str(error).split())}; is it another "
                "format, or not whole?"
            ) from error
    texts = dict(zip(dict.fromkeys(names), columns, strict=True))
    if not len(columns[0]):
        raise InputError(f"{path} has no rows; give a file with examples")
    return [_parquet_text(path, name, texts[name]) for name in names]


def _parquet_text(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean)
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    if not any(test(kind) for test in (*plain, *numbers)):
        raise InputError(
            f"{path}: column {name!r} has the type {column.type}; give a column of text or numbers"
        )
    return pc.cast(column, pa.string())


def _find_all(path: Path, names: tuple[str, ...], there: list[str]) -> None:
    """Refuse a file that lacks a column."""
    for name in names:
        if there.count(name) > 1:
            raise InputError(f"{path} has two columns {name!r}; remove or rename one of them")
        if name not in there:
            raise InputError(
                f"{path} has no column {name!r}; its columns: {', '.join(there)}"
                f"{did_you_mean(name, there)}"
            )
