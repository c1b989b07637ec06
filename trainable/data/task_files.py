"""Tasks and examples of the user's own: `--tasks`."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainable.data.check_splits import check_splits
from trainable.data.cut_dev import cut_dev
from trainable.data.data_file import DataFile, HubPart, Part
from trainable.data.examples import Examples, collect
from trainable.data.hub import download
from trainable.data.open_file import check_files
from trainable.data.read_columns import read_columns, with_ids
from trainable.data.schema import to_schema
from trainable.errors import InputError, did_you_mean
from trainable.tasks import Task, TaskName, table


class TaskData(BaseModel):
    """A task and where its examples are.

    Attributes:
        task: The task.
        labels: Label as it stands in the data -> number of its class; None where the data have the
            numbers of the classes, or the label is a number anyway.
        train: Examples to learn from.
        dev: None where a share of `train` is cut off.
        test: Examples that are only predicted; None for none.
        dev_share: Share of `train`, in (0, 0.5], that becomes dev; None where there is a `dev`.
        may_lack_text: Whether rows without one of their sentences are dropped instead of refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    task: Task
    labels: dict[str, int] | None = None
    train: Part
    dev: Part | None = None
    test: Part | None = None
    dev_share: Annotated[float, Field(gt=0, le=0.5)] | None = None
    may_lack_text: bool = False

    @property
    def parts(self) -> dict[str, DataFile | HubPart]:
        """The splits that there are, by name."""
        given = {"train": self.train, "dev": self.dev, "test": self.test}
        return {split: part for split, part in given.items() if part is not None}


class TaskFiles(BaseModel):
    """One to ten tasks from files or the Hub, as `trainable.data.read_tasks.read_tasks` finds them.

    Nothing in it is relative to a folder or to a task file, so that a `best.json` holds all of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["tasks"] = "tasks"
    tasks: tuple[TaskData, ...]

    @model_validator(mode="after")
    def _check(self) -> TaskFiles:
        table(*(own.task for own in self.tasks))
        for own in self.tasks:
            if (own.dev is None) != (own.dev_share is not None):
                raise ValueError(f"{own.task.name}: give dev or dev_share, and not both")
            for split, part in own.parts.items():
                if own.task.is_pair != (part.columns.sentence2 is not None):
                    number = "two sentences" if own.task.is_pair else "one sentence"
                    raise ValueError(
                        f"{own.task.name}: an example has {number}, but not in {split}"
                    )
                if split != "test" and part.columns.label is None:
                    raise ValueError(f"{own.task.name}: {split} has no column of labels")
        return self

    def __hash__(self) -> int:
        """Return a hash of all of it; pydantic's own cannot hash the mappings of labels."""
        return hash(self.model_dump_json())

    @property
    def table(self) -> dict[TaskName, Task]:
        """The tasks."""
        return table(*(own.task for own in self.tasks))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are read, each once."""
        parts = [part for own in self.tasks for part in own.parts.values()]
        return tuple(dict.fromkeys(Path(p.path) for p in parts if isinstance(p, DataFile)))

    def load(self) -> Examples:
        """Read and check all examples.

        Raises:
            InputError: A file is missing, cannot be read, lacks a column or has a label or a row
                that is not allowed; or a data set cannot be had from the Hub.
        """
        check_files(self.paths)
        splits: dict[TaskName, dict[str, Dataset]] = {}
        notes: list[str] = []
        for own in self.tasks:
            splits[own.task.name], found = self._load_task(own)
            notes += found
        compare_ids = {own.task.name for own in self.tasks if _have_ids(own, splits)}
        notes += check_splits(self.table, splits, compare_ids=compare_ids)
        # Tasks that share a file have the same notes on it.
        return collect(self.table, splits, tuple(dict.fromkeys(notes)))

    def _load_task(self, own: TaskData) -> tuple[dict[str, Dataset], list[str]]:
        """Return the splits of a task, and notes."""
        splits: dict[str, Dataset] = {}
        notes: list[str] = []
        for split, part in own.parts.items():
            origin = self._origin(part)
            labelled = split != "test"
            if isinstance(part, HubPart):
                columns = _read_hub(part, labelled, origin)
            else:
                columns, found = read_columns(part, labelled=labelled, origin=origin)
                notes += found
            splits[split], dropped = to_schema(
                columns,
                own.task,
                split,
                origin,
                may_lack_text=own.may_lack_text,
                labels=own.labels,
            )
            notes += dropped
        if own.dev_share is not None:
            splits["train"], splits["dev"], note = cut_dev(own.task, splits["train"], own.dev_share)
            notes.append(note)
        return splits, notes

    def _origin(self, part: DataFile | HubPart) -> str:
        """Return what messages call a split: a file's name, with its folder if others have it."""
        if isinstance(part, HubPart):
            return f"{part.repo} {part.config or ''}".rstrip() + f" ({part.split})"
        paths = {
            other.path
            for own in self.tasks
            for other in own.parts.values()
            if isinstance(other, DataFile)
        }
        path = Path(part.path)
        alone = Counter(Path(other).name for other in paths)[path.name] == 1
        return path.name if alone else f"{path.parent.name}/{path.name}"


def _read_hub(part: HubPart, labelled: bool, origin: str) -> pa.Table:
    """Return the columns of a split of a data set, with our names."""
    raw = download(part.repo, part.config, part.revision, part.split)
    wanted = part.columns.named(labelled=labelled)
    for name in wanted.values():
        if name not in raw.column_names:
            raise InputError(
                f"{origin} has no column {name!r}; its columns: {', '.join(raw.column_names)}"
                f"{did_you_mean(name, raw.column_names)}"
            )
    columns = raw.select_columns(list(dict.fromkeys(wanted.values()))).with_format("arrow")[:]
    return with_ids(pa.table([columns[name] for name in wanted.values()], list(wanted)))


def _have_ids(own: TaskData, splits: dict[TaskName, dict[str, Dataset]]) -> bool:
    """Return whether an id in train and the same id in dev mean the same example.

    Not if they are the numbers of rows, which begin anew in each file.
    """
    parts = (own.train, own.dev)
    if any(part is None or part.columns.id is None for part in parts):
        return False
    by_split = splits[own.task.name]
    return not all(_are_row_numbers(by_split[split]["id"][:]) for split in ("train", "dev"))


def _are_row_numbers(ids: list[str]) -> bool:
    """Return whether ids rise from 0 or 1 with few gaps, which rows that were dropped leave."""
    if not all(text.isascii() and text.isdigit() for text in ids):
        return False
    numbers = [int(text) for text in ids]
    rise = all(a < b for a, b in pairwise(numbers))
    return rise and numbers[0] <= 1 and numbers[-1] <= 1.1 * len(numbers)
