"""Train the default and changes of it in several settings: what defaults and portfolio stand on.

    python tests/benchmarks/choose_defaults.py --encoder MINILM --data-dir DIR --sick-dir DIR \\
        --out OUT

Settings (all on two halves of dev: *select*, and *confirm* in the table):

    one-layer     MiniLM's first layer, the course's files, 60,000 tokens
    quarter       its first three layers, a quarter of the training examples, 60,000 tokens
    six-layers    all of it, the course's files, 150,000 tokens
    sick          its first three layers, SICK's three classes and its number, 60,000 tokens

and, asked for by themselves, three from scratch:

    scratch-sample  the tiny encoder, the sample data, 1,300,000 tokens (five passes)
    scratch-course  the tiny encoder, the course's files, 300,000 tokens
    scratch-sick    the tiny encoder, SICK's three classes and its number, 300,000 tokens

The changes are the members of the portfolio and those in candidates.yaml, which are written alike.
OUT keeps a file for each run, and a run whose file is there is not run again.

The greedy order of the members is printed, too: next comes the member that raises the best score so
far on *select* most, in the mean over settings. Members that raise nothing keep the order of
portfolio.yaml, where the papers say why they are there.
"""

from __future__ import annotations

import json
import os
import random
import sys
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import transformers
import tyro
import yaml

from spaces.portfolio import PortfolioMember, load_portfolio
from tests.benchmarks.process_pool import process_pool
from trainable.cache.files import write_json, write_text
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import Cs224nData, DataSource, SampleData
from trainable.defaults import default_run
from trainable.model.encoder import TINY, EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run, RunFailed

# Setting -> layers of the encoder, data, tokens.
SETTINGS = {
    "one-layer": (1, "course", 60_000),
    "quarter": (3, "quarter", 60_000),
    "six-layers": (6, "course", 150_000),
    "sick": (3, "sick", 60_000),
}
FROM_SCRATCH = {
    "scratch-sample": (0, "sample", 1_300_000),
    "scratch-course": (0, "course", 300_000),
    "scratch-sick": (0, "sick", 300_000),
}
_ALL = SETTINGS | FROM_SCRATCH
DEFAULT = "default"
_CANDIDATES = Path(__file__).with_name("candidates.yaml")
_SICK = """
tasks:
  entailment:
    {{train: {dir}/SICK_train.txt, dev: {dir}/SICK_trial.txt, format: tsv, metric: macro_f1,
      columns: {{id: pair_ID, sentence1: sentence_A, sentence2: sentence_B,
                 label: entailment_judgment}},
      labels: {{ENTAILMENT: entailment, NEUTRAL: neutral, CONTRADICTION: contradiction}}}}
  relatedness:
    {{train: {dir}/SICK_train.txt, dev: {dir}/SICK_trial.txt, format: tsv, range: [1, 5],
      columns: {{id: pair_ID, sentence1: sentence_A, sentence2: sentence_B,
                 label: relatedness_score}}}}
"""


@dataclass(frozen=True)
class Options:
    """Train the default and its changes in several settings, and print their scores."""

    encoder: Path
    """Folder of MiniLM, or of another BERT with at least six layers."""

    data_dir: Path
    """Folder of the course's files."""

    sick_dir: Path
    """Folder of SICK's files."""

    out: Path
    """Where runs are kept, one file for each."""

    settings: tuple[str, ...] = tuple(SETTINGS)
    """Settings to train in, all with a pretrained encoder or all from scratch."""

    candidates: tuple[str, ...] = ()
    """Candidates to train; all without it."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of the runs."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core."""


def load_candidates(from_scratch: bool) -> dict[str, PortfolioMember]:
    """Return name -> changes of the default: none, those of the portfolio, and the others."""
    kinds: dict[str, Any] = yaml.safe_load(_CANDIDATES.read_text(encoding="utf-8"))
    others = {
        name: PortfolioMember(name=name, source="", changes=own)
        for name, own in kinds["from_scratch" if from_scratch else "pretrained"].items()
    }
    default = PortfolioMember(name=DEFAULT, source="", changes={})
    portfolio = {own.name: own for own in load_portfolio(from_scratch=from_scratch)}
    return {DEFAULT: default, **portfolio, **others}


def is_from_scratch(options: Options) -> bool:
    """Return whether the settings have no pretrained encoder; refuses a mixture."""
    for own in options.settings:
        if own not in _ALL:
            sys.exit(f"error: --settings {own}: choose from {', '.join(_ALL)}")
    kinds = {own in FROM_SCRATCH for own in options.settings}
    if len(kinds) > 1:
        sys.exit("error: --settings: candidates differ for encoders from scratch; ask separately")
    return kinds.pop()


def prepare(options: Options) -> None:
    """Write the cut encoders, the quarter of the training examples and SICK's task file."""
    for layers in sorted({_ALL[name][0] for name in options.settings} - {0}):
        folder = options.out / f"encoder{layers}"
        if not folder.exists():
            model = transformers.BertModel.from_pretrained(
                options.encoder, num_hidden_layers=layers
            )
            model.save_pretrained(folder)
            transformers.AutoTokenizer.from_pretrained(options.encoder).save_pretrained(folder)
    quarter = options.out / "quarter"
    quarter.mkdir(parents=True, exist_ok=True)
    for file in sorted(options.data_dir.glob("*.csv")):
        first, *rows = file.read_text(encoding="utf-8").splitlines()
        if "train" in file.name:
            rows = random.Random(0).sample(rows, len(rows) // 4)
        write_text(quarter / file.name, "\n".join([first, *rows, ""]))
    write_text(options.out / "sick.yaml", _SICK.format(dir=options.sick_dir.absolute()))


def config_of(options: Options, setting: str, candidate: PortfolioMember, seed: int) -> RunConfig:
    """Return the configuration of a run."""
    layers, data, tokens = _ALL[setting]
    folder = options.out / "quarter" if data == "quarter" else options.data_dir
    source: DataSource = Cs224nData(dir=str(folder.absolute()))
    if data == "sick":
        source = read_tasks(str(options.out / "sick.yaml"))
    elif data == "sample":
        source = SampleData()
    cut = str((options.out / f"encoder{layers}").absolute())
    encoder = EncoderConfig(source=cut if layers else TINY)
    return candidate.config(default_run(encoder, source, seed, Multitask(budget_tokens=tokens)))


_inputs: tuple[str, RunInputs] | None = None  # the runs of a process share encoder and data


def run_one(setting: str, config: RunConfig, path: Path) -> None:
    """Train a run to its end and write its scores."""
    global _inputs
    torch.set_num_threads(1)
    if _inputs is None or _inputs[0] != setting:
        _inputs = setting, open_inputs(config, torch.device("cpu"))
    run = Run(config, _inputs[1])
    try:
        while not run.done:
            run.train_unit()
    except RunFailed as error:
        write_json(path, {"failure": str(error)})
        return
    found = {split: run.score(split, run.probabilities(split)) for split in ("select", "confirm")}
    write_json(path, found)


Scores = dict[str, dict[str, float]]  # candidate -> setting -> mean over seeds


def read_scores(options: Options, candidates: list[str], split: str) -> Scores:
    """Return the scores on a split; what has no run or failed is left out."""
    found: Scores = {}
    for name, setting in product(candidates, options.settings):
        paths = [path_of(options, setting, name, seed) for seed in options.seeds]
        runs = [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]
        scores = [own[split]["score"] for own in runs if split in own]
        if scores:
            found.setdefault(name, {})[setting] = sum(scores) / len(scores)
    return found


def table(options: Options, scores: Scores) -> str:
    """Return a row for each candidate, with its score in each setting."""
    lines = [f"| candidate | {' | '.join(options.settings)} |"]
    lines.append("|---" * (1 + len(options.settings)) + "|")
    for name, own in scores.items():
        cells = [f"{own[s]:.3f}" if s in own else "-" for s in options.settings]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def greedy_order(scores: Scores) -> list[tuple[str, float]]:
    """Return the candidates behind the default, best first, and what each of them gains.

    Its gain is the rise of the best score so far, in the mean over the default's settings. Where it
    has no score, it raises nothing. Equal gains keep the order of `scores`.
    """
    best = dict(scores[DEFAULT])
    left = [name for name in scores if name != DEFAULT]
    found: list[tuple[str, float]] = []
    while left:
        gains = {
            name: sum(max(0.0, scores[name].get(s, 0.0) - best[s]) for s in best) / len(best)
            for name in left
        }
        name = max(left, key=gains.__getitem__)
        left.remove(name)
        found.append((name, gains[name]))
        best = {s: max(best[s], scores[name].get(s, 0.0)) for s in best}
    return found


def path_of(options: Options, setting: str, candidate: str, seed: int) -> Path:
    """Return the file of a run."""
    return options.out / f"{setting}@{candidate}@{seed}.json"


def main(options: Options) -> None:
    """Train what has no file yet, and print the table."""
    from_scratch = is_from_scratch(options)
    known = load_candidates(from_scratch)
    names = list(options.candidates or known)
    prepare(options)
    with process_pool(options.jobs) as pool:
        waiting = [
            pool.submit(run_one, setting, config_of(options, setting, known[name], seed), path)
            for setting, seed, name in product(options.settings, options.seeds, names)
            if not (path := path_of(options, setting, name, seed)).exists()
        ]
        for n, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"[{n}/{len(waiting)}]", flush=True)
    print(table(options, read_scores(options, names, "confirm")))
    portfolio = [own.name for own in load_portfolio(from_scratch=from_scratch)]
    scores = read_scores(options, [DEFAULT, *portfolio], "select")
    if DEFAULT in scores:
        order = (f"{name} ({gain:+.4f})" for name, gain in greedy_order(scores))
        print(f"greedy order of the portfolio, by select: {', '.join(order)}")


if __name__ == "__main__":
    main(tyro.cli(Options))
