"""The command of search/export.py: write the results that need only the log of a search.

It needs neither data nor encoder nor cluster, so it works on any machine that can read the storage,
also while the search runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow
import tyro

from search.commands.log_command import print_answer, read_history
from search.log.find_folder import named_folder
from search.log.folder import SearchFolder
from search.log.history import History
from search.report.logged_search import LoggedSearch
from search.report.optuna_study import shown, write_study
from search.report.page.write_page import PAGE, write_page
from search.report.pareto import pick
from search.report.result_files import best_json, result_files
from search.report.tensorboard import TENSORBOARD, tensorboard_file, tensorboard_path
from spaces.params import param_from_json
from trainable.cache.files import write_bytes, write_text
from trainable.errors import InputError


@dataclass(frozen=True)
class ExportOptions:
    """Write trials.csv, best.json, report.html and TensorBoard files of a search again, an Optuna
    study, or another trial of the search than the best."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SEARCH")]
    """Name of the search below --storage, or its folder or URI."""

    storage: str = "runs"
    """Where the search is kept: a folder, or any URI that Ray can read, such as
    s3://bucket/prefix."""

    optuna: Annotated[str | None, tyro.conf.arg(metavar="sqlite:///study.db")] = None
    """Write an Optuna study of the same name into this database, for optuna-dashboard. The study of
    an earlier export is replaced."""

    pick: Annotated[str | None, tyro.conf.arg(metavar="'TASK>=NUMBER,...'")] = None
    """Write the finished trial with the best score that fulfils these conditions on select, such as
    `sts>=0.86`, in the format of best.json; search/retrain.py takes it."""

    pick_file: Annotated[str, tyro.conf.arg(metavar="NAME")] = "picked.json"
    """Name of the file for --pick; best.json replaces the best."""

    out: Path | None = None
    """Folder for trials.csv, best.json, report.html and tensorboard. Default: that of the search.
    """


def main(arguments: list[str] | None = None, prog: str = "search/export.py") -> int:
    """Run `search/export.py`; returns the exit status."""
    options = tyro.cli(ExportOptions, prog=prog, args=arguments)
    return print_answer(lambda: _export(options))


def _export(options: ExportOptions) -> str:
    """Write what the options ask for; returns a sentence for the user."""
    if options.optuna is not None and options.pick is not None:
        raise InputError("--pick: has no meaning with --optuna; drop one of them")
    if options.optuna is not None and options.out is not None:
        raise InputError(
            "--out: has no meaning with --optuna, which writes into its database; drop one of them"
        )
    folder = named_folder(options.name, options.storage)
    history = read_history(folder)
    if options.pick is not None:
        return _pick(folder, history, options)
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
    return f"{', '.join([*files, PAGE])} and curves of {n_trials} trials are in {where}"


def _pick(folder: SearchFolder, history: History, options: ExportOptions) -> str:
    """Write the trial that --pick asks for; returns a sentence for the user."""
    name = options.pick_file
    if Path(name).name != name or not name.endswith(".json"):
        raise InputError(
            f"--pick-file {name!r}: give the name of a JSON file without a folder, such as "
            f"picked.json, and the folder by --out"
        )
    trial = pick(list(history.trials.values()), history.tasks, str(options.pick))
    where = _put(folder, options.out, {name: best_json(folder.name, history, trial)})
    scores = ", ".join(
        f"{task} {trial.last[own.metric_key]:.4f}" for task, own in history.tasks.items()
    )
    return f"trial {trial.number} (score {trial.score:.4f}: {scores}) is in {where}/{name}"


def _write(folder: SearchFolder, out: Path | None, files: dict[str, str], history: History) -> str:
    """Write all results into `out`, or into the storage of the search; returns which of the two."""
    return _put(folder, out, files, lambda target: _write_more(target, folder, history))


def _put(
    folder: SearchFolder,
    out: Path | None,
    files: dict[str, str],
    more: Callable[[Path], list[str]] = lambda target: [],
) -> str:
    """Write files and what `more` writes into `out`, or into the search; returns which of the two.

    Args:
        folder: Of the search.
        out: Where the user wants the files.
        files: Name -> content.
        more: Writes into a folder, and returns the names of what is there.
    """
    target = folder.local if out is None else out
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_text(target / name, text)
        names = [*files, *more(target)]
        if out is not None:
            return str(out)
        # The log itself is not copied: a driver may be writing to it in the storage.
        folder.publish(*names)
        return folder.uri
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(
            f"the results cannot be written ({error}); give a folder that this user may write to "
            f"by --out"
        ) from error


def _write_more(target: Path, folder: SearchFolder, history: History) -> list[str]:
    """Write the page and the curves into a folder; returns the names of the files and folders."""
    write_page(LoggedSearch(folder.name, history), target, folder.uri, folder.local)
    space = history.header["space"]
    params = tuple(param_from_json(name, fields) for name, fields in space.items())
    for trial in history.trials.values():
        path = target / tensorboard_path(trial)
        content = tensorboard_file(trial, params, history.tasks)
        # A running driver may have written more than this log says.
        if trial.id and not (path.exists() and path.read_bytes().startswith(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
    return [PAGE, *([TENSORBOARD] if (target / TENSORBOARD).is_dir() else [])]
