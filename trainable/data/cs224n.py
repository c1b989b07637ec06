"""The data files of Stanford CS224N's default project: tab-separated, one per task and split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
from datasets import Dataset

from trainable.cache.files import reading
from trainable.data.check_splits import check_splits
from trainable.data.examples import Examples, collect, to_schema
from trainable.errors import InputError, did_you_mean
from trainable.tasks import TASK_NAMES, TaskName

_END = "\0end"  # a line of its own behind the file's: within a field, a quote was not closed
_QUOTES = "a field that begins with a quote must end with one, and have each quote inside doubled"


@dataclass(frozen=True)
class _Files:
    """Files `{stem}-train.csv`, `{stem}-dev.csv` and perhaps `{stem}-test-student.csv`."""

    stem: str
    sentences: tuple[str, ...]
    label: str

    def name(self, split: str) -> str:
        return f"{self.stem}-{'test-student' if split == 'test' else split}.csv"

    def columns(self, split: str) -> tuple[str, ...]:
        return ("id", *self.sentences, *(() if split == "test" else (self.label,)))


_FILES: dict[TaskName, _Files] = {
    "sst": _Files("ids-sst", ("sentence",), "sentiment"),
    "para": _Files("quora", ("sentence1", "sentence2"), "is_duplicate"),
    "sts": _Files("sts", ("sentence1", "sentence2"), "similarity"),
}


def load_cs224n(folder: Path) -> Examples:
    """Read the course's files of the three tasks.

    Args:
        folder: Contains `ids-sst-{train,dev}.csv`, `quora-{train,dev}.csv`, `sts-{train,dev}.csv`;
            `*-test-student.csv` are read where they exist. Other files are ignored.

    Raises:
        InputError: The folder, a file or a column is missing, a file is not tab-separated UTF-8
            text or cannot be read, or `to_schema` refuses its rows.
    """
    splits: dict[TaskName, dict[str, Dataset]] = {task: {} for task in TASK_NAMES}
    notes: list[str] = []
    for (task, split), path in _find_files(folder).items():
        columns, found = _read(path, _FILES[task].columns(split))
        names = ["id", *(f"sentence{i + 1}" for i in range(len(_FILES[task].sentences)))]
        table = pa.table(columns, names if split == "test" else [*names, "label"])
        splits[task][split], dropped = to_schema(table, task, split, path.name)
        notes += [*found, *dropped]
    return collect(splits, (*notes, *check_splits(splits, compare_ids=True)))


def _find_files(folder: Path) -> dict[tuple[TaskName, str], Path]:
    """Return the path of each (task, split), or say all that is missing at once."""
    with reading(folder):
        if not folder.is_dir():
            raise InputError(f"no folder {folder}; give the one with the course's *.csv files")
        found = sorted(path.name for path in folder.iterdir() if path.suffix == ".csv")
    paths: dict[tuple[TaskName, str], Path] = {}
    missing: list[str] = []
    for task in TASK_NAMES:
        for split in ("train", "dev", "test"):
            name = _FILES[task].name(split)
            if name in found:
                paths[task, split] = folder / name
            elif split != "test":
                missing.append(name + did_you_mean(name, found))
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)}; found: {', '.join(found) or 'no .csv file'}"
        )
    return paths


def _read(path: Path, names: tuple[str, ...]) -> tuple[list[pa.Array], list[str]]:
    """Read columns as strings, exactly as `csv.DictReader` reads a tab-separated file.

    Returns:
        The columns, in the order of `names`, and notes on rows that may be damaged.
    """
    rows: list[list[str]] = []
    several_lines: list[int] = []  # first line of each row with a line break in a field
    too_long: list[int] = []
    end = 0  # last line of the row before
    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(chain(lines, [_END]), delimiter="\t")
            header = next((row for row in reader if row), [])
            places = _find_columns(path, header, names)
            end = reader.line_num
            for row in reader:
                start, end = end + 1, reader.line_num
                if not row or row == [_END]:
                    continue
                _check_end(path, row, start)
                if end > start:
                    _check_lines(path, row, len(header), start, end)
                    several_lines.append(start)
                if any(row[len(header) :]):
                    too_long.append(start)
                rows.append(row)
    except csv.Error as error:
        raise InputError(
            f"cannot read {path} as tab-separated text, in the row from line {end + 1}: {error}; "
            f'is a quote (") not closed? {_QUOTES}'
        ) from error
    if not rows:
        raise InputError(f"{path} has a header but no rows; give a file with examples")
    columns = [pa.array([row[i] if i < len(row) else "" for row in rows]) for i in places]
    notes = [
        f"{path.name}: {len(found):,} row{'s' * (len(found) > 1)} with {what}, first in line "
        f"{found[0]}; check that they are whole"
        for found, what in (
            (several_lines, "line breaks inside a sentence"),
            (too_long, "more fields than the header (a tab inside a sentence?)"),
        )
        if found
    ]
    return columns, notes


def _find_columns(path: Path, header: list[str], names: tuple[str, ...]) -> list[int]:
    """Return the place of each column in the header, or refuse the file."""
    if header == [_END]:
        raise InputError(f"{path} is empty; expected a header with {', '.join(names)}")
    _check_end(path, header, 1)
    if len(header) == 1 and header[0].count(",") >= len(names) - 1:
        raise InputError(
            f"{path} has no tab in its header {header[0]!r}: is it comma-separated? Give a "
            "tab-separated file"
        )
    for name in names:
        if header.count(name) > 1:
            raise InputError(f"{path} has two columns {name!r}; remove or rename one of them")
        if name not in header:
            raise InputError(
                f"{path} has no column {name!r}; its tab-separated columns: "
                f"{', '.join(column or '(no name)' for column in header)}"
                f"{did_you_mean(name, header)}"
            )
    return [header.index(name) for name in names]


def _check_end(path: Path, row: list[str], start: int) -> None:
    """Refuse a row that goes on to the end of the file."""
    if row[-1].endswith(_END):
        raise InputError(
            f'cannot read {path}: the quote (") that begins a field in line {start} is not closed; '
            f"{_QUOTES}"
        )


def _check_lines(path: Path, row: list[str], n_columns: int, start: int, end: int) -> None:
    """Refuse a row of several lines in which an open quote has swallowed other rows."""
    n_breaks = n_tabs = 0
    for field in row:
        n_breaks += max(1, len([line for line in field.splitlines() if line.strip()])) - 1
        n_tabs += field.count("\t")
    # From one column to the same one of the next row, there are as many tabs as in a row.
    if n_tabs >= max(1, n_breaks) * (n_columns - 1) or len(row) > n_columns:
        raise InputError(
            f'cannot read {path}: lines {start} to {end} are one row, because a quote (") that '
            f"begins a field in line {start} is not closed there; {_QUOTES}"
        )
