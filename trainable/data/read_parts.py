"""Read where the splits of a task are: what a task file says of files, columns and the Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from trainable.cache.files import user_path
from trainable.data.data_file import SUFFIXES, Columns, DataFile, Format, HubPart, Part
from trainable.data.read_yaml import choice, flag, mapping, text
from trainable.errors import InputError

_SPLITS = ("train", "dev", "test")
_FILE_KEYS = ("format", "quotes", "header", "columns")
_HUB_KEYS = ("repo", "config", "revision", "splits")
_HUB_SPLITS = {"train": "train", "dev": "validation"}


def read_parts(values: Mapping[str, Any], where: str, folder: Path) -> dict[str, Part]:
    """Return the splits of a task, by name; train is among them.

    Args:
        values: What the task file says of the task.
        where: File and task, for messages.
        folder: What relative paths begin from.

    Raises:
        InputError: Something is missing or not allowed. The files are not looked at.
    """
    if ("train" in values) == ("hub" in values):
        raise InputError(
            f"{where} has {'both train and hub' if 'hub' in values else 'neither train nor hub'}; "
            "give train: FILE, or hub: with a data set on the Hugging Face hub"
        )
    if "hub" in values:
        for key in (*_SPLITS, "format", "quotes", "header"):
            if key in values:
                raise InputError(f"{where}: {key} is for files; with hub, give hub.splits only")
        return _hub_parts(values, where)
    shared = {key: values[key] for key in _FILE_KEYS if key in values}
    return {
        split: _file(values[split], f"{where}.{split}", split, shared, folder)
        for split in _SPLITS
        if split in values
    }


def _file(given: Any, where: str, split: str, shared: Mapping[str, Any], folder: Path) -> DataFile:
    """Read where a split's file is; its own keys go before those of the task."""
    own = {"file": given} if isinstance(given, str) else given
    own = {**shared, **mapping(own, where, ("file", *_FILE_KEYS))}
    if "file" not in own:
        raise InputError(f"{where} has no file; give {split}: FILE, or file: FILE inside of it")
    name = text(own["file"], f"{where}.file")
    path = user_path(name) if name.startswith("~") else folder.absolute() / name
    kind = _format(own.get("format"), path, where)
    options = {key: flag(own[key], f"{where}.{key}") for key in ("quotes", "header") if key in own}
    if kind in ("jsonl", "parquet") and options:
        raise InputError(f"{where}: {next(iter(options))} is for tsv and csv, and {name} is {kind}")
    columns = _columns(own.get("columns"), where, labelled=split != "test")
    if not options.get("header", True):
        for number_ in columns.named(labelled=True).values():
            if not re.fullmatch("[1-9][0-9]{0,3}", number_):
                raise InputError(
                    f"{where}: column {number_!r} of a file without a header; give its number, "
                    "counted from 1"
                )
    return DataFile(path=str(path), format=kind, columns=columns, **options)


def _format(given: Any, path: Path, where: str) -> Format:
    """Return the format that is named, or that the file's name tells."""
    kind: Format | None = SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix)
    if given is not None:
        kind = choice(given, f"{where}.format", get_args(Format))  # type: ignore[assignment]
    if kind is None:
        raise InputError(
            f"{where}: the name {path.name!r} does not tell the format; add format: tsv, csv, "
            f"jsonl or parquet, or name the file {', '.join(SUFFIXES)}"
        )
    if kind == "parquet" and path.suffix == ".gz":
        raise InputError(f"{where}: {path.name!r}: Parquet is compressed inside; unpack the file")
    return kind


def _columns(given: Any, where: str, *, labelled: bool) -> Columns:
    """Read which column holds what."""
    where = f"{where}.columns"
    if isinstance(given, dict) and "sentence" in given:
        raise InputError(f"{where}: unknown key 'sentence'; say sentence1, also where there is one")
    names = {
        key: text(own, f"{where}.{key}")
        for key, own in mapping(given or {}, where, tuple(Columns.model_fields)).items()
    }
    for key in ("sentence1", *(["label"] if labelled else [])):
        if key not in names:
            raise InputError(f"{where} lacks {key}; name the column that holds it")
    return Columns(**names)


def _hub_parts(values: Mapping[str, Any], where: str) -> dict[str, Part]:
    """Read which splits of a data set on the Hub are ours."""
    hub = mapping(values["hub"], f"{where}.hub", _HUB_KEYS)
    splits = mapping(hub.get("splits", _HUB_SPLITS), f"{where}.hub.splits", _SPLITS)
    own = {k: text(v, f"{where}.hub.{k}") for k, v in hub.items() if k != "splits"}
    for key in ("repo", "revision"):
        if key not in own:
            raise InputError(f"{where}.hub lacks {key}")
    if "train" not in splits:
        raise InputError(f"{where}.hub.splits lacks train")
    if not re.fullmatch("[0-9a-f]{40}", own["revision"]):
        raise InputError(
            f"{where}.hub.revision is {own['revision']!r}; give a full commit (40 hex digits), "
            "which always means the same data"
        )
    return {
        split: HubPart(
            **own,
            split=text(name, f"{where}.hub.splits.{split}"),
            columns=_columns(values.get("columns"), where, labelled=split != "test"),
        )
        for split, name in splits.items()
    }
