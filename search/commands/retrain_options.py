"""The command line of search/retrain.py, and what is refused before anything is read or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import tyro

from search.commands.seed_run import is_trained
from search.report.best import Best
from search.report.retrain_json import RETRAIN
from trainable.cache.files import reading
from trainable.errors import InputError

# What a retraining leaves in its folder; a kill or a full disk may leave only the first two.
_OWN = (".lock", f".{RETRAIN}.*", RETRAIN, "seed_*", "best_[1-9]*", "ensemble", "ensemble.json")


@dataclass(frozen=True)
class RetrainOptions:
    """Train the best configuration of a search again, with several seeds.

    The same command goes on with a retraining that was stopped.
    """

    best: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BEST.json|SEARCH")]
    """The best.json of a search, or the folder or URI of the search."""

    others: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[BEST.json|SEARCH ...]")
    ] = ()
    """More of them, for an ensemble of different configurations."""

    seeds: int = 3
    """Number of runs of each; their seeds are 1, 2, ... Those that OUT has already stay."""

    train_on: Literal["train", "train+dev"] = "train"
    """Labels to learn from. With dev among them there is nothing left to score on."""

    ensemble: bool = False
    """Average the probabilities of all runs, too, and score the average."""

    out: Path | None = None
    """Folder for the results. Default: `retrain` beside the first BEST.json."""


def check_ensemble(options: RetrainOptions, bests: Mapping[str, Best]) -> None:
    """Refuse what cannot be averaged.

    Raises:
        InputError: The files, or the data that their searches ran on, do not go together.
    """
    if options.others and not options.ensemble:
        raise InputError(
            f"{len(options.others) + 1} files were given: add --ensemble to average their runs, or "
            f"give one BEST.json"
        )
    if len(bests) < len(options.others) + 1:
        raise InputError("a BEST.json was given twice; raise --seeds for more runs of it")
    if options.ensemble and len(bests) * options.seeds < 2:
        raise InputError("--ensemble --seeds 1: an ensemble needs at least two runs")
    (first_path, first), *_ = bests.items()
    for path, best in bests.items():
        if best.data_fingerprint != first.data_fingerprint:
            raise InputError(
                f"--ensemble: {path} is of data {best.data_fingerprint}, {first_path} of "
                f"{first.data_fingerprint}; runs can be averaged over the same "
                f"examples and tokenizer only: give searches with equal --data and vocabulary"
            )
        if best.run_config.data.table != first.run_config.data.table:
            raise InputError(
                f"--ensemble: {path} and {first_path} define their tasks differently; give "
                f"searches with equal tasks"
            )


def folders_of(options: RetrainOptions, out: Path) -> list[Path]:
    """Return where the seeds of each BEST.json go."""
    n = len(options.others) + 1
    return [out / f"best_{k}" for k in range(1, n + 1)] if n > 1 else [out]


def check_out(options: RetrainOptions, out: Path) -> None:
    """Refuse a folder that holds something else, or whose results would no longer go together.

    Raises:
        InputError: It has something that no retraining wrote, results of other BEST.json files, or
            an ensemble that would not be of all runs any more.
    """
    with reading(out):
        names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if names and not any(fnmatch(name, own) for name in names for own in _OWN):
        raise InputError(
            f"--out {out} is not empty, and no retraining wrote it (it has {names[0]}); give a new "
            f"folder"
        )
    expected = set(folders_of(options, out))
    found = {path.parent for path in (*out.glob(RETRAIN), *out.glob(f"best_*/{RETRAIN}"))}
    has_ensemble = (out / "ensemble.json").exists() or (out / "ensemble").exists()
    if found - expected or (has_ensemble and found != expected):
        raise InputError(
            f"{out} holds a retraining of other BEST.json files; give the same ones in the same "
            f"order, or choose another --out"
        )
    seeds = [folder / f"seed_{k}" for folder in expected for k in range(1, options.seeds + 1)]
    if has_ensemble and not options.ensemble and not all(map(is_trained, seeds)):
        raise InputError(
            f"{out} holds an ensemble, which would not be of all runs any more; add --ensemble, or "
            f"choose another --out"
        )
