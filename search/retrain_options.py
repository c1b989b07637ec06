"""The command line of search/retrain.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from search.report.best import Best
from trainable.errors import InputError


@dataclass(frozen=True)
class RetrainOptions:
    """Train the best configuration of a search again, with several seeds."""

    best: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BEST.json")]
    """The best.json of a search."""

    others: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[BEST.json ...]")
    ] = ()
    """More of them, for an ensemble of different configurations."""

    seeds: int = 3
    """Number of runs of each; their seeds are 1, 2, ..."""

    train_on: Literal["train", "train+dev"] = "train"
    """Labels to learn from. With dev among them there is nothing left to score on."""

    ensemble: bool = False
    """Average the probabilities of all runs, too, and score the average."""

    out: Path | None = None
    """Folder for the results. Default: `retrain` beside the first BEST.json."""


def check_ensemble(options: RetrainOptions, bests: Mapping[Path, Best]) -> None:
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
    for path, best in bests.items():
        if best.data_fingerprint != bests[options.best].data_fingerprint:
            raise InputError(
                f"--ensemble: {path} is of data {best.data_fingerprint}, {options.best} of "
                f"{bests[options.best].data_fingerprint}; runs can be averaged over the same "
                f"examples and tokenizer only: give searches with equal --data and vocabulary"
            )
