"""Train one configuration with several seeds on its full budget, and write the results.

OUT/retrain.json            scores of each seed, mean and standard deviation
OUT/seed_N/encoder/         a Hugging Face folder: BertModel.from_pretrained loads it
OUT/seed_N/heads.safetensors, run_config.json
OUT/seed_N/predictions/     dev and test, in the course's submission format
OUT/seed_N/predictions.safetensors: probabilities and scores, see trainable/training/predictions.py
OUT/ensemble.json           with --ensemble: scores of all runs and of their average
OUT/ensemble/predictions/   dev and test, predicted by that average

With several BEST.json files, each has its own retrain.json and seeds in OUT/best_1, OUT/best_2, ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console

from search.commands.seed_run import dev_labels, dev_scores, train_seed
from search.report.best import Best, read_best
from search.report.ensemble import Member, average, compare, table
from search.report.seed_scores import seeds_table, summary_of
from trainable.cache.files import write_json
from trainable.errors import InputError
from trainable.stages.pretraining_loop import StageFailed
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import RunFailed
from trainable.training.predictions import write_submission


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


def main(arguments: list[str] | None = None) -> int:
    """Run `search/retrain.py`; returns the exit status."""
    options = tyro.cli(RetrainOptions, prog="search/retrain.py", args=arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _retrain_all(options, console)
    except (InputError, RunFailed, StageFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _retrain_all(options: RetrainOptions, console: Console) -> None:
    """Train each configuration with all seeds, then average the runs if that is asked for."""
    if options.seeds < 1:
        raise InputError(f"--seeds {options.seeds}: give at least 1")
    paths = (options.best, *options.others)
    bests = {path: read_best(path) for path in paths}
    check_ensemble(options, bests)
    out = options.out or options.best.parent / "retrain"
    folders = {p: out / f"best_{k}" if options.others else out for k, p in enumerate(paths, 1)}
    for folder in (out, *folders.values()):
        if any((folder / name).exists() for name in ("retrain.json", "ensemble.json")):
            raise InputError(f"{folder} holds an earlier retraining; choose another --out")
    inputs_of = _open_inputs(bests, console)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error}); give another folder") from error
    members: list[Member] = []
    for path, best in bests.items():
        inputs = inputs_of[path]
        if inputs.corpus.fingerprint != best.data_fingerprint:
            console.print("note: the data are not those of the search; its scores do not compare")
        if options.train_on == "train+dev":
            inputs = replace(inputs, corpus=inputs.corpus.with_dev_in_train())
        title = f"{path}, " if options.others else ""
        members += _retrain(best, inputs, options, folders[path], title, console)
    if options.ensemble:
        _write_ensemble(members, inputs_of[options.best], options, out, console)
    console.print(f"encoders, heads and predictions are in {out}", markup=False)


def _open_inputs(bests: dict[Path, Best], console: Console) -> dict[Path, RunInputs]:
    """Return BEST.json -> encoder and data of its run; runs that share them hold them once.

    Raises:
        InputError: They cannot be had, or the data of the searches differ now.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    opened: dict[InputsSpec, RunInputs] = {}
    for best in bests.values():
        source = InputsSpec.of(best.run_config)
        if source not in opened:
            opened[source] = open_inputs(best.run_config, device)
    found = {inputs.corpus.fingerprint for inputs in opened.values()}
    if len(found) > 1:
        raise InputError(
            f"--ensemble: the data have changed since the searches, and differ now "
            f"({', '.join(sorted(found))}); give back the files that the searches read"
        )
    for note in dict.fromkeys(note for inputs in opened.values() for note in inputs.corpus.notes):
        console.print(note, markup=False)
    return {path: opened[InputsSpec.of(best.run_config)] for path, best in bests.items()}


def _retrain(
    best: Best,
    inputs: RunInputs,
    options: RetrainOptions,
    out: Path,
    title: str,
    console: Console,
) -> list[Member]:
    """Train one configuration with all seeds; returns what an ensemble averages."""
    out.mkdir(parents=True, exist_ok=True)
    values = {"best": best.model_dump(mode="json"), "train_on": options.train_on}
    found: dict[int, dict[str, Any]] = {}
    members = []
    for seed in range(1, options.seeds + 1):
        config = best.run_config.model_copy(update={"seed": seed})
        name = f"{title}seed {seed}"
        member = train_seed(config, inputs, out / f"seed_{seed}", name, console)
        members.append(member)
        found[seed] = dev_scores(member, inputs) if options.train_on == "train" else {}
        summary = summary_of(found)
        # Written after each seed, so that a later interruption loses none of the finished ones.
        write_json(out / "retrain.json", {**values, "seeds": found, "summary": summary})
    console.print(title + seeds_table(found, summary), markup=False)
    return members


def _write_ensemble(
    members: list[Member], inputs: RunInputs, options: RetrainOptions, out: Path, console: Console
) -> None:
    """Write the average's predictions, and its scores where dev was not trained on."""
    folder = out / "ensemble" / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    write_submission(average(members).predicted(), inputs.corpus.splits, folder)
    if options.train_on == "train":
        comparison = compare(members, dev_labels(inputs))
        write_json(out / "ensemble.json", comparison)
        console.print(table(comparison), markup=False)
