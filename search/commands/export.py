"""The command of search/export.py: write the results that need only the log of a search.

It needs neither data nor encoder nor cluster, so it works on any machine that can read the storage,
also while the search runs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow
import tyro

from search.log.events import read_events
from search.log.find_folder import find_folder, split
from search.log.folder import SearchFolder
from search.log.history import History
from search.report.optuna_study import shown, write_study
from search.report.result_files import result_files
from search.report.tensorboard import TENSORBOARD, tensorboard_file, tensorboard_path
from spaces.params import param_from_json
from trainable.cache.files import write_bytes, write_text
from trainable.errors import InputError


@dataclass(frozen=True)
class ExportOptions:
    """Write trials.csv, best.json and TensorBoard files of a search again, or an Optuna study."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SEARCH")]
    """Name of the search below --storage, or its folder or URI."""

    storage: str = "runs"
    """Where the search is kept: a folder, or any URI that Ray can read, such as
    s3://bucket/prefix."""

    optuna: Annotated[str | None, tyro.conf.arg(metavar="sqlite:///study.db")] = None
    """Write an Optuna study of the same name into this database, for optuna-dashboard. The study of
    an earlier export is replaced."""

    out: Path | None = None
    """Folder for trials.csv, best.json and tensorboard. Default: that of the search."""


def main(arguments: list[str] | None = None) -> int:
    """Run `search/export.py`; returns the exit status."""
    options = tyro.cli(ExportOptions, prog="search/export.py", args=arguments)
    try:
        print(_export(options))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _export(options: ExportOptions) -> str:
    """Write what the options ask for; returns a sentence for the user."""
    if options.optuna is not None and options.out is not None:
        raise InputError(
            "--out: has no meaning with --optuna, which writes into its database; drop one of them"
        )
    given = options.name
    storage, name = split(given) if "/" in given else (options.storage, given)
    folder = find_folder(storage, name, resume=True)
    history = read_history(folder)
    n_trials = len(history.trials)
    if options.optuna is not None:
        was_incomplete = write_study(folder.name, history, options.optuna)
        replaced = "; it replaces one that an earlier export left incomplete"
        return (
            f"study {folder.name!r} with {n_trials} trials is in {shown(options.optuna)}"
            f"{replaced if was_incomplete else ''}"
        )
    files = result_files(folder.name, history)
    where = _write(folder, options.out, files, history)
    return f"{', '.join(files)} and curves of {n_trials} trials are in {where}"


def read_history(folder: SearchFolder) -> History:
    """Return the history of a search.

    Raises:
        InputError: The storage cannot be read, the search has not begun, or its log is of another
            version.
    """
    path = folder.fetch_log()
    history = History(read_events(path))
    if not history.header:
        raise InputError(f"{path}: has no whole first line: the search was stopped before it began")
    return history


def _write(folder: SearchFolder, out: Path | None, files: dict[str, str], history: History) -> str:
    """Write files into `out`, or into the storage of the search; returns which of the two."""
    try:
        if out is not None:
            _write_into(out, files, history)
            return str(out)
        # The log itself is not copied: a driver may be writing to it in the storage.
        folder.publish(*_write_into(folder.local, files, history))
        return folder.uri
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(
            f"the results cannot be written ({error}); give a folder that this user may write to "
            f"by --out"
        ) from error


def _write_into(target: Path, files: dict[str, str], history: History) -> list[str]:
    """Write the results into a folder; returns the names of the files and folders in it."""
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_text(target / name, text)
    space = history.header["space"]
    params = tuple(param_from_json(name, fields) for name, fields in space.items())
    for trial in history.trials.values():
        path = target / tensorboard_path(trial)
        content = tensorboard_file(trial, params, history.tasks)
        # A running driver may have written more than this log says.
        if trial.id and not (path.exists() and path.read_bytes().startswith(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
    return [*files, *([TENSORBOARD] if (target / TENSORBOARD).is_dir() else [])]
