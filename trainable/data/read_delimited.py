"""Columns of TSV and CSV files, with checks for the ways in which such files lose rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from trainable.data.data_file import DataFile
from trainable.data.open_file import open_text
from trainable.errors import InputError, did_you_mean

_END = "\0end"  # a line of its own behind the file's: within a field, a quote was not closed
_QUOTES = (
    "a field that begins with a quote must end with one, and have each quote inside doubled; if "
    "quotes are letters, say quotes: false in the task file"
)
_DELIMITERS = {"tsv": "\t", "csv": ","}
_WORDS = {"tsv": "tab", "csv": "comma"}


def read_delimited(
    file: DataFile, names: tuple[str, ...], origin: str
) -> tuple[list[list[str]], list[str]]:
    """Read columns as strings, as `csv.DictReader` reads them; what a short row lacks is "".

    Args:
        file: Of format "tsv" or "csv".
        names: The columns to read; numbers from "1" if the file has no header.
        origin: What notes call the file.

    Returns:
        The columns, in the order of `names`, and notes on rows that may be damaged.

    Raises:
        InputError: The file cannot be read, lacks a column, has no rows, or has a quote that is not
            closed; in CSV also a row with more fields than the header.
    """
    path = Path(file.path)
    rows: list[list[str]] = []
    several_lines: list[int] = []  # first line of each row with a line break in a field
    too_long: list[int] = []
    end = 0  # last line of the row before
    word = _WORDS[file.format]
    try:
        with open_text(path) as lines:
            reader = _reader(file, lines)
            first: list[str] = next((row for row in reader if row), [])
            places = _find_columns(file, path, first, names)
            end = reader.line_num if file.header else 0
            for row in reader if file.header else chain([first], reader):
                start, end = end + 1, reader.line_num
                if not row or row == [_END]:
                    continue
                _check_end(path, row, start)
                if end > start and file.quotes:
                    _check_lines(file, path, row, len(first), start, end)
                    several_lines.append(start)
                if any(row[len(first) :]):
                    _refuse_commas(file, path, row, len(first), start)
                    too_long.append(start)
                rows.append(row)
    except csv.Error as error:
        raise InputError(
            f"cannot read {path} as {word}-separated text, in the row from line {end + 1}: "
            f"{error}; {_advice(file)}"
        ) from error
    if not rows:
        raise InputError(f"{path} has a header but no rows; give a file with examples")
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in places]
    notes = [
        f"{origin}: {len(found):,} row{'s' * (len(found) > 1)} with {what}, first in line "
        f"{found[0]}; check that they are whole"
        for found, what in (
            (several_lines, "line breaks inside a sentence"),
            (too_long, f"more fields than the header (a {word} inside a sentence?)"),
        )
        if found
    ]
    return columns, notes


def _advice(file: DataFile) -> str:
    """Return what to do where `csv` cannot read a row."""
    if file.quotes:
        return f'is a quote (") not closed? {_QUOTES}'
    return (
        f"is the file {_WORDS[file.format]}-separated? Cut fields of more than "
        f"{csv.field_size_limit():,} characters"
    )


def _reader(file: DataFile, lines: Iterable[str]) -> Any:
    """Return a `csv.reader`; its type has no public name."""
    delimiter = _DELIMITERS[file.format]
    if not file.quotes:
        return csv.reader(chain(lines, [_END]), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    # Strict refuses text behind a closing quote. The course's tab-separated files have such fields.
    return csv.reader(chain(lines, [_END]), delimiter=delimiter, strict=file.format == "csv")


def _find_columns(
    file: DataFile, path: Path, first: list[str], names: tuple[str, ...]
) -> list[int]:
    """Return the place of each column in the first row, or refuse the file."""
    if first == [_END]:
        expected = f"a header with {', '.join(names)}" if file.header else "rows of examples"
        raise InputError(f"{path} is empty; expected {expected}")
    _check_end(path, first, 1)
    own, other = ("tsv", "csv") if file.format == "tsv" else ("csv", "tsv")
    if len(first) == 1 and first[0].count(_DELIMITERS[other]) >= max(1, len(names) - 1):
        raise InputError(
            f"{path} has no {_WORDS[own]} in its {'header' if file.header else 'first row'} "
            f"{first[0]!r:.200}: is it {_WORDS[other]}-separated? Give a {_WORDS[own]}-separated "
            f"file, or say format: {other} in the task file"
        )
    if not file.header:
        return list(_numbered(path, len(first), names))
    for name in names:
        if first.count(name) > 1:
            raise InputError(f"{path} has two columns {name!r}; remove or rename one of them")
        if name not in first:
            raise InputError(
                f"{path} has no column {name!r}; its {_WORDS[own]}-separated columns: "
                f"{', '.join(column or '(no name)' for column in first)}"
                f"{did_you_mean(name, first)}"
            )
    return [first.index(name) for name in names]


def _numbered(path: Path, n_columns: int, names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        if not 1 <= int(name) <= n_columns:
            raise InputError(
                f"{path} has no column {name}; its first row has columns 1 to {n_columns}"
            )
        yield int(name) - 1


def _refuse_commas(file: DataFile, path: Path, row: list[str], n_columns: int, start: int) -> None:
    """Refuse a CSV row that is too long: its sentence was cut, and its label is another field.

    Tab-separated files with a stray last field are common, and a note says where.
    """
    if file.format == "csv":
        raise InputError(
            f"{path} has {len(row)} fields in line {start}, and {n_columns} in its first row; put "
            "sentences with commas in quotes"
        )


def _check_end(path: Path, row: list[str], start: int) -> None:
    """Refuse a row that goes on to the end of the file."""
    if row[-1].endswith(_END):
        raise InputError(
            f'cannot read {path}: the quote (") that begins a field in line {start} is not closed; '
            f"{_QUOTES}"
        )


def _check_lines(
    file: DataFile, path: Path, row: list[str], n_columns: int, start: int, end: int
) -> None:
    """Refuse a row of several lines in which an open quote has swallowed other rows.

    In CSV, quoted sentences with commas and line breaks are usual; there the strict reader finds
    what stands behind the next quote. One column has no tabs to count: a note names such rows.
    """
    if file.format == "csv":
        return
    n_breaks = n_tabs = 0
    for field in row:
        n_breaks += max(1, len([line for line in field.splitlines() if line.strip()])) - 1
        n_tabs += field.count("\t")
    # From one column to the same one of the next row, there are as many tabs as in a row.
    has_rows = n_columns > 1 and n_tabs >= max(1, n_breaks) * (n_columns - 1)
    if has_rows or len(row) > n_columns:
        raise InputError(
            f'cannot read {path}: lines {start} to {end} are one row, because a quote (") that '
            f"begins a field in line {start} is not closed there; {_QUOTES}"
        )
