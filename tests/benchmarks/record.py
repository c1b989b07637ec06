"""Record learning curves: train every trial of a search once more, and keep the scores of both.

    python tests/benchmarks/record.py --log runs/recorded/events.jsonl --out OUT

The second run of a configuration has another seed, so that the two tell what belongs to it from
what was luck. The search must run its trials to the end. That of the project's table is of MiniLM
cut to its first layer, so that a run costs half a core-minute, on the course's data with the dev
files of the three tasks cut to their first 400 rows:

    python -c "import transformers as t
    t.BertModel.from_pretrained('MINILM', num_hidden_layers=1).save_pretrained('MINILM1')
    t.AutoTokenizer.from_pretrained('MINILM').save_pretrained('MINILM1')"
    for f in ids-sst-dev quora-dev sts-dev; do head -n 401 DATA/$f.csv > DIR/$f.csv; done
    python search/run.py --data cs224n --data-dir DIR --encoder MINILM1 --space full --units 9 \\
        --budget 51000 --trials 160 --searcher random --scheduler none --seed 0 --name recorded

Runs that OUT holds are not run again, so that an interrupted command goes on where it stopped.
Trials of which either run failed are left out.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro

from search.events import read_events
from search.history import History, TrialRecord
from tests.benchmarks.recorded import RECORDED, write_table
from trainable.files import write_json
from trainable.loop import Run, RunFailed
from trainable.run_config import RunConfig
from trainable.workbench import Workbench, open_workbench


@dataclass(frozen=True)
class Options:
    """Train the trials of a search once more, and write the table of recorded curves."""

    log: Path
    """Event log of the search."""

    out: Path
    """Where the second runs are kept, one file for each."""

    seed: int = 1
    """Seed of the second runs; another than that of the search."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core."""

    table: Path = RECORDED
    """The table to write."""


_bench: Workbench | None = None  # all trials of a search share encoder and data


def run_again(config: RunConfig, path: Path) -> None:
    """Train one run to its end, and write `{scores, worth}`, or `{failure}`, to `path`."""
    global _bench
    torch.set_num_threads(1)
    if _bench is None:
        _bench = open_workbench(config, torch.device("cpu"))
    run = Run(config, _bench)
    found: list[float] = []
    try:
        while not run.done:
            run.train_unit()
            found.append(_score(run, "select"))
    except RunFailed as error:
        write_json(path, {"failure": str(error)})
    else:
        write_json(path, curve(found, _score(run, "confirm")))


def _score(run: Run, split: str) -> float:
    return run.score(split, run.probabilities(split))["score"]


def curve(scores: list[float], worth: float) -> dict[str, Any]:
    """Return one run as the table has it: scores on *select*, the last one on *confirm*."""
    return {"scores": [round(score, 5) for score in scores], "worth": round(worth, 5)}


def run_missing(wanted: dict[Path, RunConfig], jobs: int) -> None:
    """Run what has no file yet.

    Args:
        wanted: File of each run -> what it trains.
        jobs: Runs at the same time.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        started = {}
        for path, config in wanted.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                started[pool.submit(run_again, config, path)] = path
        for n, future in enumerate(as_completed(started), 1):
            future.result()
            print(f"[{n}/{len(started)}] {started[future]}", flush=True)


def _file(options: Options, trial: TrialRecord) -> Path:
    return options.out / f"trial_{trial.number}.json"


def rows(trials: list[TrialRecord], options: Options) -> list[dict[str, Any]]:
    """Return `{params, runs: [curve, curve]}` of every trial of which both runs ended well."""
    found = []
    for trial in trials:
        again = json.loads(_file(options, trial).read_text(encoding="utf-8"))
        if "failure" not in again:
            scores = [trial.score_at(unit) for unit in sorted(trial.reports)]
            worth = trial.last["confirm_score"]
            assert worth is not None, "the last unit is scored on both splits"
            first = curve(scores, worth)
            found.append({"params": trial.params, "runs": [first, again]})
    return found


def main(options: Options) -> None:
    """Run what is missing, and write the table."""
    trials = list(History(read_events(options.log)).trials.values())
    done = [trial for trial in trials if trial.status == "done"]
    if any(trial.config.seed == options.seed for trial in done):
        sys.exit(f"--seed {options.seed} is that of the search; give another")
    run_missing(
        {_file(options, t): t.config.model_copy(update={"seed": options.seed}) for t in done},
        options.jobs,
    )
    kept = rows(done, options)
    write_table(options.table, kept)
    print(f"{len(kept)} curves to {options.table}; {len(trials) - len(kept)} trials left out")


if __name__ == "__main__":
    main(tyro.cli(Options))
