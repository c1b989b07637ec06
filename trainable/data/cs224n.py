"""The data files of Stanford CS224N's default project: tab-separated, one per task and split."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, Features, Value, load_dataset
from datasets.exceptions import DatasetGenerationError

from trainable.data.examples import Examples, collect, to_schema
from trainable.data.quiet_datasets import no_progress_bars
from trainable.errors import InputError, did_you_mean
from trainable.tasks import TASK_NAMES, TaskName


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
            text, or `to_schema` refuses its rows.
    """
    paths = _find_files(folder)
    for (task, split), path in paths.items():
        _check_header(path, _FILES[task].columns(split))
    splits: dict[TaskName, dict[str, Dataset]] = {task: {} for task in TASK_NAMES}
    notes: list[str] = []
    cache_dir = None
    for (task, split), path in paths.items():
        raw = _read(path, _FILES[task].columns(split))
        cache_dir = cache_dir or Path(raw.cache_files[0]["filename"]).parent
        names = ["id", *(f"sentence{i + 1}" for i in range(len(_FILES[task].sentences)))]
        table = raw.with_format("arrow")[:].rename_columns(
            names if split == "test" else [*names, "label"]
        )
        splits[task][split], found = to_schema(table, task, split, path.name)
        notes += found
    return collect(splits, tuple(notes), cache_dir)


def _find_files(folder: Path) -> dict[tuple[TaskName, str], Path]:
    """Return the path of each (task, split), or say all that is missing at once."""
    if not os.path.isdir(folder):  # unlike Path's, it is False for a name that is too long
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


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    """Refuse a file without the columns, before any file is read in full."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            records = (record for record in csv.reader(lines, delimiter="\t") if record)
            header, first = next(records, []), next(records, [])
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    if not header:
        raise InputError(f"{path} is empty; expected a header with {', '.join(columns)}")
    for name in columns:
        if name not in header:
            raise InputError(
                f"{path} has no column {name!r}; its tab-separated columns: "
                f"{', '.join(column or '(no name)' for column in header)}"
                f"{did_you_mean(name, header)}"
            )
    if not first:
        raise InputError(f"{path} has a header but no rows; give a file with examples")


def _read(path: Path, columns: tuple[str, ...]) -> Dataset:
    """Read the columns as strings, exactly as `csv.DictReader` reads a tab-separated file."""
    try:
        with no_progress_bars():
            return load_dataset(
                "csv",
                data_files={"rows": str(path)},
                split="rows",
                delimiter="\t",
                encoding="utf-8-sig",
                # Sentences such as "null" and "NA" are text; the type is given, never guessed.
                keep_default_na=False,
                na_filter=False,
                features=Features({name: Value("string") for name in columns}),
                # Without this pandas takes the first field of rows that are longer than the header
                # for an index, and every column moves by one.
                index_col=False,
                usecols=list(columns),
            )
    except (DatasetGenerationError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read {path} as tab-separated UTF-8 text: {error.__cause__ or error}"
        ) from error
