"""Read what `--tasks` names: a task file (YAML), or a table of tasks that comes with the project.

The format is described in trainable/docs/tasks.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from trainable.cache.files import user_path
from trainable.data.data_file import DataFile
from trainable.data.read_parts import read_parts
from trainable.data.read_yaml import choice, flag, mapping, number, read_yaml, shown, text
from trainable.data.schema import plain
from trainable.data.task_files import TaskData, TaskFiles
from trainable.errors import InputError, did_you_mean
from trainable.tasks import Metric, Task

READY_MADE = ("course", "course-cfimdb", "glue", "glue-hub")
DEV_SHARE = 0.1  # of a train set without a dev set, unless the file says another
_TASK_KEYS = (
    *("title", "train", "dev", "test", "hub", "columns", "labels", "range", "metric", "weight"),
    *("dev_share", "may_lack_text", "format", "quotes", "header"),
)


def read_tasks(source: str, data_dir: Path | None = None) -> TaskFiles:
    """Read a task file, or a ready-made table.

    The examples are not read; `TaskFiles.load` does that.

    Args:
        source: Path of a YAML file, or one of `READY_MADE`; behind it perhaps `:` and the names of
            tasks, separated by commas, of which the others are left out.
        data_dir: What relative paths in the file begin from; None for the folder of the file.

    Raises:
        InputError: There is no such file or table, or something in it is not allowed.
    """
    name, chosen = _split_source(source)
    if name not in READY_MADE:
        path = user_path(name)
        return _choose(_read_file(path, data_dir or path.parent), chosen, source)
    inside = files("trainable.data") / "tables" / f"{name.replace('-', '_')}.yaml"
    with as_file(inside) as path:
        if data_dir is None and name != "glue-hub":
            raise InputError(f"--tasks {source} needs --data-dir, the folder with its files")
        found = _read_file(path, data_dir or Path())
    there = tuple(_without_missing_test(own) for own in found.tasks)
    return _choose(found.model_copy(update={"tasks": there}), chosen, source)


def _split_source(source: str) -> tuple[str, list[str] | None]:
    """Return the file or table, and the names behind it; a file that is there is taken whole."""
    if source in READY_MADE or os.path.lexists(user_path(source)):
        return source, None
    name, colon, names = source.rpartition(":")
    if colon and (name in READY_MADE or os.path.lexists(user_path(name))):
        return name, [part.strip() for part in names.split(",")]
    near = did_you_mean(source.split(":")[0], READY_MADE)
    raise InputError(
        f"--tasks {source}: no such file; give a task file (YAML), or one of "
        f"{', '.join(READY_MADE)}, perhaps with names of tasks, such as glue:rte,mrpc{near}"
    )


def _choose(found: TaskFiles, chosen: list[str] | None, source: str) -> TaskFiles:
    """Return the tasks that are named, in the order of the file."""
    if chosen is None:
        return found
    for name in chosen:
        if name not in found.table:
            raise InputError(
                f"--tasks {source}: no task {name!r}; allowed: {', '.join(found.table)}"
                f"{did_you_mean(name, found.table)}"
            )
    kept = tuple(own for own in found.tasks if own.task.name in chosen)
    return found.model_copy(update={"tasks": kept})


def _without_missing_test(own: TaskData) -> TaskData:
    """Leave out a test file that is not there; the tables name all that there could be."""
    missing = isinstance(own.test, DataFile) and not os.path.lexists(own.test.path)
    return own.model_copy(update={"test": None}) if missing else own


def _read_file(path: Path, folder: Path) -> TaskFiles:
    """Read a task file; relative paths begin from `folder`."""
    given = read_yaml(path)
    if given is None:
        raise InputError(
            f"{path}: the file is empty; give tasks, a mapping from the name of each task to its "
            f"files and columns"
        )
    tasks = mapping(given, str(path), ("tasks",)).get("tasks")
    if not isinstance(tasks, dict):
        raise InputError(
            f"{path}: tasks is {shown(tasks)}; give a mapping from the name of each task to its "
            f"files and columns"
        )
    found = tuple(_read_task(path, name, values, folder) for name, values in tasks.items())
    try:
        return TaskFiles(tasks=found)
    except ValidationError as error:
        raise InputError(f"{path}: {_problem(error)}") from error


def _read_task(path: Path, name: str, given: Any, folder: Path) -> TaskData:
    """Read one task."""
    where = f"{path}: tasks.{name}"
    values = mapping(given, where, _TASK_KEYS)
    parts = read_parts(values, where, folder)
    if "dev" in parts and "dev_share" in values:
        raise InputError(
            f"{where}: dev_share is {values['dev_share']!r}, but there is a dev set, too"
        )
    share = None
    if "dev" not in parts:
        share = number(values.get("dev_share", DEV_SHARE), f"{where}.dev_share", 0.001, 0.5)
    task, labels = _task(name, values, where, is_pair=parts["train"].columns.sentence2 is not None)
    lacks = flag(values.get("may_lack_text", "false"), f"{where}.may_lack_text")
    return TaskData(task=task, labels=labels, **parts, dev_share=share, may_lack_text=lacks)


def _task(
    name: str, values: Mapping[str, Any], where: str, is_pair: bool
) -> tuple[Task, dict[str, int] | None]:
    """Return the task, and the numbers of its labels where they are not numbers already."""
    fields: dict[str, Any] = {"name": name, "is_pair": is_pair}
    if ("labels" in values) == ("range" in values):
        has = "both labels and range" if "labels" in values else "neither labels nor range"
        raise InputError(
            f"{where} has {has}; give labels for classes, or range: [LOW, HIGH] for a number"
        )
    numbers = None
    if "labels" in values:
        fields["classes"], numbers = _labels(values["labels"], f"{where}.labels")
    else:
        fields["low"], fields["high"] = _range(values["range"], f"{where}.range")
    if "title" in values:
        fields["title"] = text(values["title"], f"{where}.title")
    if "metric" in values:
        fields["metric"] = choice(values["metric"], f"{where}.metric", get_args(Metric))
    if "weight" in values:
        fields["weight"] = number(values["weight"], f"{where}.weight", 0, float("inf"))
    try:
        return Task(**fields), numbers
    except ValidationError as error:
        raise InputError(f"{where}: {_problem(error).removeprefix(f'{name}: ')}") from error


def _labels(given: Any, where: str) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the names of the classes, and label -> class; None for labels 0, 1, 2, ..."""
    if isinstance(given, list):
        for label in given:
            if given.count(label) > 1:
                raise InputError(f"{where}: {shown(label)} is given twice; remove one of them")
        given = dict(zip(given, given, strict=True)) if _are_texts(given) else None
    if not isinstance(given, dict) or not _are_texts([*given, *given.values()]):
        raise InputError(
            f"{where}: give a list of labels, each once, or a mapping from each label to the name "
            "of its class"
        )
    classes = tuple(dict.fromkeys(given.values()))
    numbers: dict[str, int] = {}
    for label, name in given.items():
        if plain(label) in numbers:
            raise InputError(f"{where}: {label!r} is given twice, as a number; remove one of them")
        numbers[plain(label)] = classes.index(name)
    if len(classes) < 2:
        raise InputError(f"{where}: only one class, {classes[0]!r}; give at least two")
    same = all(label == str(number) for label, number in numbers.items())
    return classes, None if same else numbers


def _are_texts(given: list[Any]) -> bool:
    return all(isinstance(own, str) and own for own in given)


def _range(given: Any, where: str) -> tuple[float, float]:
    """Return the smallest and the largest number that a label may be."""
    if not isinstance(given, list) or len(given) != 2:
        raise InputError(f"{where} is {shown(given)}; give [LOW, HIGH], such as [0, 5]")
    low, high = (number(own, where, float("-inf"), float("inf")) for own in given)
    return low, high


def _problem(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")
