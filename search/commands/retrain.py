"""Train one configuration with several seeds on its full budget, and write the results.

OUT/retrain.json            what is trained, scores of each seed, mean and standard deviation
OUT/seed_N/encoder/         a Hugging Face folder: AutoModel.from_pretrained loads it
OUT/seed_N/heads.safetensors, run_config.json
OUT/seed_N/predictions/     dev and test: CSV; of the course's tasks in its submission format
OUT/seed_N/predictions.safetensors: probabilities and scores, see trainable/training/predictions.py
OUT/seed_N/checkpoint_*/    while the seed trains
OUT/ensemble.json           with --ensemble: scores of all runs and of their average
OUT/ensemble/predictions/   dev and test, predicted by that average

With several BEST.json files, each has its own retrain.json and seeds in OUT/best_1, OUT/best_2, ...
The same command goes on with what was stopped, and one with more seeds adds them.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from rich.console import Console
from safetensors import SafetensorError

from search.commands.retrain_options import RetrainOptions, check_ensemble, check_out, folders_of
from search.commands.seed_run import (
    delete_checkpoints,
    dev_labels,
    dev_scores,
    is_trained,
    read_member,
    train_seed,
)
from search.log.lock import only_retraining
from search.loop.interruption import Interruption
from search.report.best import Best, best_path, default_out, read_best
from search.report.ensemble import Member, average, compare, table
from search.report.retrain_json import Retraining
from search.report.seed_scores import Scores, seeds_table, summary_of
from trainable.cache.files import write_json
from trainable.errors import InputError
from trainable.metrics import metrics_line, shown_keys
from trainable.run_config import RunConfig
from trainable.stages.pretraining_loop import StageFailed
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import RunFailed, RunLeft
from trainable.training.predictions import write_submission


@dataclass(frozen=True)
class _Configuration:
    """One BEST.json: what to train, on which data, and where its seeds go."""

    title: str  # before a seed's name; empty where there is only one
    retraining: Retraining
    inputs: RunInputs
    folder: Path


def main(arguments: list[str] | None = None, prog: str = "search/retrain.py") -> int:
    """Run `search/retrain.py`; returns the exit status."""
    options = tyro.cli(RetrainOptions, prog=prog, args=arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _retrain_all(options, console)
    except (InputError, RunFailed, StageFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, SafetensorError) as error:  # a full disk, say
        text = "what is trained so far is kept, and the same command goes on once that is mended"
        print(f"error: {error}; {text}", file=sys.stderr)
        return 2
    except RunLeft:
        console.print("stopped; the same command goes on")
        return 128 + signal.SIGINT  # what a shell gives to a program that Ctrl-C ends
    return 0


def _retrain_all(options: RetrainOptions, console: Console) -> None:
    """Train each configuration with all seeds, then average the runs if that is asked for."""
    if options.seeds < 1:
        raise InputError(f"--seeds {options.seeds}: give at least 1")
    paths = [best_path(given) for given in (options.best, *options.others)]
    bests = {path: read_best(path) for path in paths}
    check_ensemble(options, bests)
    out = options.out or default_out(paths[0])
    check_out(options, out)
    configurations = _open(options, bests, out, console)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error}); give another folder") from error
    announcement = f"stopping after this step; what is trained so far is kept in {out}"
    with only_retraining(out):
        trained = [(own, _trained(own, options)) for own in configurations]
        with Interruption(announcement, RunLeft) as stop:
            stop.defer()
            for own, scores in trained:
                _train_seeds(own, scores, options, stop, console)
        if options.ensemble:
            _write_ensemble(configurations, options, out, console)
    console.print(f"encoders, heads and predictions are in {out}", markup=False)


def _open(
    options: RetrainOptions, bests: dict[str, Best], out: Path, console: Console
) -> list[_Configuration]:
    """Open encoder and data of each configuration; those that share them hold them once.

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
    configurations = []
    for (path, best), folder in zip(bests.items(), folders_of(options, out), strict=True):
        inputs = opened[InputsSpec.of(best.run_config)]
        fingerprint = inputs.corpus.fingerprint
        if fingerprint != best.data_fingerprint:
            console.print("note: the data are not those of the search; its scores do not compare")
        if options.train_on == "train+dev":
            inputs = replace(inputs, corpus=inputs.corpus.with_dev_in_train())
        retraining = Retraining(best, options.train_on, fingerprint)
        title = f"{path}, " if options.others else ""
        configurations.append(_Configuration(title, retraining, inputs, folder))
    return configurations


def _trained(own: _Configuration, options: RetrainOptions) -> dict[int, Scores]:
    """Return seed -> scores of the seeds that need no training any more.

    Raises:
        InputError: The folder is of another retraining, or has more seeds than are asked for.
    """
    scores = own.retraining.read(own.folder)
    if max(scores, default=0) > options.seeds:
        raise InputError(
            f"--seeds {options.seeds}: {own.folder} has {len(scores)} seeds; give at least "
            f"{max(scores)}, or choose another --out"
        )
    return {seed: s for seed, s in scores.items() if is_trained(_seed_folder(own, seed))}


def _seed_folder(own: _Configuration, seed: int) -> Path:
    return own.folder / f"seed_{seed}"


def _config(own: _Configuration, seed: int) -> RunConfig:
    return own.retraining.best.run_config.model_copy(update={"seed": seed})


def _train_seeds(
    own: _Configuration,
    scores: dict[int, Scores],
    options: RetrainOptions,
    stop: Interruption,
    console: Console,
) -> None:
    """Train the seeds that have no scores yet, and print the scores of all."""
    keys = shown_keys(_config(own, 1).data.table)
    own.folder.mkdir(exist_ok=True)
    own.retraining.write(own.folder, scores)
    for seed in range(1, options.seeds + 1):
        folder = _seed_folder(own, seed)
        if seed not in scores:
            stop.look()
            name = f"{own.title}seed {seed}"
            member = train_seed(_config(own, seed), own.inputs, folder, name, console, stop.look)
            scores[seed] = dev_scores(member, own.inputs) if options.train_on == "train" else {}
            # Written after each seed, so that a later interruption loses none of the finished ones.
            own.retraining.write(own.folder, scores)
            for split, metrics in scores[seed].items():
                console.print(
                    f"{name}: {split}  {metrics_line({k: metrics[k] for k in keys})}", markup=False
                )
        delete_checkpoints(folder)
    scores = dict(sorted(scores.items()))
    console.print(own.title + seeds_table(scores, summary_of(scores), keys), markup=False)


def _write_ensemble(
    configurations: list[_Configuration], options: RetrainOptions, out: Path, console: Console
) -> None:
    """Write the average's predictions, and its scores where dev was not trained on."""
    members: list[Member] = []
    for own in configurations:
        for seed in range(1, options.seeds + 1):
            folder, name = _seed_folder(own, seed), f"{own.title}seed {seed}"
            members.append(read_member(_config(own, seed), own.inputs, folder, name))
    inputs, tasks = configurations[0].inputs, _config(configurations[0], 1).data.table
    folder = out / "ensemble" / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    write_submission(average(members).predicted(), inputs.corpus.splits, tasks, folder)
    if options.train_on == "train":
        comparison = compare(members, dev_labels(inputs))
        write_json(out / "ensemble.json", comparison)
        console.print(table(comparison, shown_keys(tasks)), markup=False)
