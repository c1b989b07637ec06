"""Train one configuration with several seeds on its full budget, and write what comes of it.

OUT/retrain.json            scores of each seed, mean and standard deviation
OUT/seed_N/encoder/         a Hugging Face folder: BertModel.from_pretrained loads it
OUT/seed_N/heads.safetensors, run_config.json
OUT/seed_N/predictions/     dev and test, in the course's submission format
OUT/seed_N/predictions.safetensors: probabilities and scores, see trainable/training/predictions.py
OUT/ensemble.json           with --ensemble: scores of all runs and of their average
OUT/ensemble/predictions/   those of the average

With several BEST.json, each has its own retrain.json and seeds, in OUT/best_1, OUT/best_2, ...
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

from search.report.best import Best, read_best
from search.report.ensemble import Labels, Member, average, compare, table
from search.report.seeds import seeds_table, summary_of
from trainable.cache.files import write_json
from trainable.errors import InputError
from trainable.metrics import scores
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.tasks import TASK_NAMES
from trainable.training.hugging_face import write_encoder, write_heads
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import Run, RunFailed
from trainable.training.predictions import (
    LABELLED,
    PREDICTIONS,
    write_probabilities,
    write_submission,
)
from trainable.training.progress_bar import train


def main(arguments: list[str] | None = None) -> int:
    """Run `search/retrain.py`; returns the exit status."""
    options = tyro.cli(RetrainOptions, prog="search/retrain.py", args=arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _retrain_all(options, console)
    except (InputError, RunFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _retrain_all(options: RetrainOptions, console: Console) -> None:
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
    benches = _open(bests, console)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error}); give another folder") from error
    members: list[Member] = []
    for path, best in bests.items():
        inputs = benches[InputsSpec.of(best.run_config)]
        if inputs.corpus.fingerprint != best.data_fingerprint:
            console.print("note: the data are not those of the search; its scores do not compare")
        if options.train_on == "train+dev":
            inputs = replace(inputs, corpus=inputs.corpus.with_dev_in_train())
        title = f"{path}, " if options.others else ""
        members += _retrain(best, inputs, options, folders[path], title, console)
    if options.ensemble:
        inputs = benches[InputsSpec.of(bests[options.best].run_config)]
        _write_ensemble(members, inputs, options, out, console)
    console.print(f"encoders, heads and predictions are in {out}", markup=False)


def _open(bests: dict[Path, Best], console: Console) -> dict[InputsSpec, RunInputs]:
    """Open what the runs need, each only once."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    benches: dict[InputsSpec, RunInputs] = {}
    for best in bests.values():
        source = InputsSpec.of(best.run_config)
        if source not in benches:
            benches[source] = open_inputs(best.run_config, device)
    found = {inputs.corpus.fingerprint for inputs in benches.values()}
    if len(found) > 1:
        raise InputError(
            f"--ensemble: the data have changed since the searches, and differ now "
            f"({', '.join(sorted(found))}); give back the files that the searches read"
        )
    for note in dict.fromkeys(note for inputs in benches.values() for note in inputs.corpus.notes):
        console.print(note, markup=False)
    return benches


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
        member = _one_seed(config, inputs, out / f"seed_{seed}", title, console)
        members.append(member)
        found[seed] = _scores(member, inputs) if options.train_on == "train" else {}
        summary = summary_of(found)
        # After each seed: an interruption later loses nothing of it.
        write_json(out / "retrain.json", {**values, "seeds": found, "summary": summary})
    console.print(title + seeds_table(found, summary), markup=False)
    return members


def _one_seed(
    config: RunConfig, inputs: RunInputs, folder: Path, title: str, console: Console
) -> Member:
    """Train one run and write its files."""
    run = Run(config, inputs)
    train(run, console, f"{title}seed {config.seed}", lambda losses: None)
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    write_encoder(run, folder / "encoder")
    write_heads(run, folder)
    found = {split: run.probabilities(split) for split in (*LABELLED, "test")}
    write_probabilities(run, folder / PREDICTIONS, found)
    member = Member(f"{title}seed {config.seed}", found, decision_threshold(config.para.pair))
    write_submission(member.predicted(), inputs.corpus.splits, folder / "predictions")
    return member


def _labels(inputs: RunInputs) -> Labels:
    """Return split -> task -> labels of the two halves of dev."""
    labels: Labels = {split: {} for split in LABELLED}
    for split in LABELLED:
        for task in TASK_NAMES:
            own = inputs.corpus.splits[split][task].labels
            assert own is not None, "dev is labelled"
            labels[split][task] = own
    return labels


def _scores(member: Member, inputs: RunInputs) -> dict[str, Any]:
    """Return split -> scores."""
    predicted, labels = member.predicted(), _labels(inputs)
    return {split: scores(predicted[split], labels[split]) for split in LABELLED}


def _write_ensemble(
    members: list[Member], inputs: RunInputs, options: RetrainOptions, out: Path, console: Console
) -> None:
    """Write the average's predictions, and score it where labels are left."""
    folder = out / "ensemble" / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    write_submission(average(members).predicted(), inputs.corpus.splits, folder)
    if options.train_on == "train":
        comparison = compare(members, _labels(inputs))
        write_json(out / "ensemble.json", comparison)
        console.print(table(comparison), markup=False)


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
