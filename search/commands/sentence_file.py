"""Files of sentences to be predicted, TSV, CSV or JSON lines, and files of predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from trainable.cache.files import reading, separated_line
from trainable.errors import InputError, did_you_mean

SUFFIXES = (".tsv", ".csv", ".jsonl")
_PAIR = ("sentence1", "sentence2")
_SINGLE = ("sentence", "text", "sentence1")  # the first of these that a file has
_END = "\0end"  # a line of its own behind the file's: within a field, a quote was not closed


@dataclass(frozen=True)
class SentenceFile:
    """The columns of a file that matter here.

    Attributes:
        path: The file.
        columns: Those of `id`, `sentence`, `text`, `sentence1`, `sentence2` that are there; all of
            the same length, at least 1.
    """

    path: Path
    columns: dict[str, list[Any]]

    @property
    def ids(self) -> list[Any]:
        """The ids of the rows; their numbers from 0, as in training, where the file has none."""
        return self.columns.get("id") or list(range(len(next(iter(self.columns.values())))))

    @property
    def has_pairs(self) -> bool:
        """Whether a task with pairs can be predicted."""
        return all(name in self.columns for name in _PAIR)

    @property
    def has_single(self) -> bool:
        """Whether a task with one sentence can be predicted."""
        return any(name in self.columns for name in self._single)

    @property
    def _single(self) -> tuple[str, ...]:
        """Columns that may be the one sentence; the first of a pair is not."""
        return _SINGLE[:2] if self.has_pairs else _SINGLE

    def sentences(self, is_pair: bool) -> list[str] | list[tuple[str, str]]:
        """Return the sentences, or the pairs.

        Raises:
            InputError: The file lacks a column, or one of them is empty.
        """
        if not (self.has_pairs if is_pair else self.has_single):
            wanted = "sentence1 and sentence2" if is_pair else "sentence or text"
            found = ", ".join(self.columns)
            raise InputError(
                f"{self.path}: this task needs the column{'s' if is_pair else ''} {wanted}; of the "
                f"columns that count the file has only {found}"
            )
        if is_pair:
            return list(zip(*(self._texts(name) for name in _PAIR), strict=True))
        return self._texts(next(name for name in self._single if name in self.columns))

    def _texts(self, name: str) -> list[str]:
        for row, text in enumerate(self.columns[name], 1):
            if not isinstance(text, str):
                raise InputError(
                    f"{self.path}: {name} in data row {row} is {text!r:.80}, not a string; "
                    f"complete or remove the row"
                )
            if not text.strip():
                raise InputError(
                    f"{self.path}: {name} in data row {row} is empty ({text!r:.20}); complete or "
                    f"remove the row"
                )
        return self.columns[name]


def read_sentences(path: Path) -> SentenceFile:
    """Read a file of sentences; its suffix says how.

    A .csv file whose first line has a tab is tab-separated, as those of CS224N are. Columns other
    than `id`, `sentence`, `text`, `sentence1` and `sentence2` are left out.

    Raises:
        InputError: The file cannot be read, has no rows or none of the columns, or a row is torn.
    """
    check_suffix(path, "--input")
    rows = _json_rows(path) if path.suffix == ".jsonl" else _separated_rows(path)
    header, *values = rows
    known = [name for name in ("id", "sentence", "text", *_PAIR) if name in header]
    if not set(known) - {"id"}:
        near = next((hint for name in header if (hint := did_you_mean(name, _SINGLE))), "")
        raise InputError(
            f"{path} has no column of sentences; name them sentence or text, or sentence1 and "
            f"sentence2 for pairs. Its columns: {', '.join(map(str, header)) or 'none'}{near}"
        )
    if not values:
        raise InputError(f"{path} has a header but no rows; give a file with sentences")
    places = {name: header.index(name) for name in known}
    return SentenceFile(path, {name: [row[i] for row in values] for name, i in places.items()})


def check_suffix(path: Path, option: str) -> None:
    """Refuse a file of another kind.

    Raises:
        InputError: Its suffix is none of `SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{option} {path}: the suffix {path.suffix!r} is not known; allowed are "
            f"{', '.join(SUFFIXES)}"
        )


def _separated_rows(path: Path) -> Iterator[list[Any]]:
    """Yield the header, then each row with at least as many fields; as `csv.reader` reads them."""
    with reading(path), path.open(encoding="utf-8-sig", newline="") as lines:
        first = lines.readline()
        tabs = path.suffix == ".tsv" or "\t" in first
        reader = csv.reader(chain([first], lines, [_END]), delimiter="\t" if tabs else ",")
        header: list[str] = []
        number = 0  # of the data row
        try:
            for row in reader:
                if not row or row == [_END]:
                    continue
                if row[-1].endswith(_END) or (
                    tabs and any("\n" in own and "\t" in own for own in row)
                ):
                    raise InputError(
                        f'{path}: a quote (") opens a field in data row {number + 1} and is not '
                        f"closed there; end the field with a quote, and double each quote inside"
                    )
                if header and len(row) < len(header):
                    raise InputError(
                        f"{path}: data row {number + 1} has {len(row)} of the {len(header)} fields "
                        f"that the header names: {row!r:.80}; complete or remove the row"
                    )
                if header and not tabs and any(row[len(header) :]):
                    raise InputError(
                        f"{path}: data row {number + 1} has {len(row)} fields, and the header "
                        f"names {len(header)}; put sentences with commas in quotes"
                    )
                number += bool(header)
                header = header or row
                yield row
        except csv.Error as error:
            raise InputError(f"{path}: data row {number + 1} cannot be read ({error})") from error
    if not header:
        raise InputError(f"{path} is empty; give a file with a header and sentences")


def _json_rows(path: Path) -> Iterator[list[Any]]:
    """Yield the keys of the first line, then the values of each line under these keys."""
    keys: list[str] = []
    with reading(path), path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}: line {number} is not JSON ({error})") from error
            if not isinstance(values, dict):
                raise InputError(f"{path}: line {number} is {line.strip()!r:.80}, not an object")
            if not keys:
                keys = list(values)
                yield keys
            for key in keys:
                if key not in values:
                    raise InputError(f"{path}: line {number} has no {key!r}, line 1 has one")
            yield [values[key] for key in keys]
    if not keys:
        raise InputError(f"{path} is empty; give a file with a JSON object in each line")


def lines_of(rows: Iterable[dict[str, Any]], suffix: str, *, header: bool = True) -> str:
    """Return predictions as text.

    Args:
        rows: Equal keys each; `probabilities` is a dictionary from classes to numbers, or absent.
        suffix: Of the file that it is for: one of `SUFFIXES`.
        header: Whether the first line names the columns; JSON lines have none.
    """
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    delimiter, lines = "\t" if suffix == ".tsv" else ",", []
    for row in rows:
        shares: dict[str, float] = row.get("probabilities", {})
        fixed = {name: value for name, value in row.items() if name != "probabilities"}
        if header:
            names = [*fixed, *(f"probability {name}" for name in shares)]
            lines.append(separated_line(names, delimiter))
            header = False
        lines.append(separated_line([*fixed.values(), *shares.values()], delimiter))
    return "".join(lines)
