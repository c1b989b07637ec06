"""Measure how long a search takes to the score of the script that a good student writes.

    python tests/benchmarks/time_to_score.py --data-dir DIR --encoder MINILM1 --out OUT --trials 8

First this project's search runs (`python search/run.py`), then student_script.py with as many
training tokens, on the same data, the same machine and as many slots, each in a process of its own.
Times are wall time from the start of the process, with imports and reading data. The score at a
time is the best that any trial has reported by then on *select*, by the same function; before its
last unit a trial of ours may be scored on a part of it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[0] = str(REPOSITORY)

import tyro

from search.log.events import read_events
from search.log.history import History

Times = list[tuple[float, float]]  # seconds since the start, and a score, in the order of time


@dataclass(frozen=True)
class Options:
    """Measure the time to a score."""

    data_dir: Path
    """Folder of the course's files."""

    encoder: Path
    """Hugging Face folder of a BERT."""

    out: Path
    """Folder of both searches; a new one."""

    budget: int = 60_000
    """Training tokens of a full run."""

    trials: int = 16
    """Trials of this project's search; the script gets as many tokens as these train on."""

    slots: int = 1
    """Trials at the same time."""

    seed: int = 0
    """Seed of both searches."""


def main(options: Options) -> None:
    """Run both searches, one after the other, and print the table."""
    options.out.mkdir(parents=True, exist_ok=False)
    ours, tokens = run_ours(options)
    theirs = run_student(options, tokens)
    print(f"{tokens:,} training tokens each")
    print(table(ours, theirs))


def run_ours(options: Options) -> tuple[Times, int]:
    """Run this project's search; returns its scores over time and the tokens that it trained on."""
    started = time.time()
    given = {
        "data": "cs224n",
        "data-dir": options.data_dir,
        "encoder": options.encoder,
        "budget": options.budget,
        "trials": options.trials,
        "max-concurrent": options.slots,
        "seed": options.seed,
        "storage": options.out.absolute(),
        "name": "ours",
    }
    _run("search/run.py", given, "--quiet")
    history = History(read_events(options.out / "ours" / "events.jsonl"))
    trials = history.trials.values()
    found = sorted(
        (trial.reported[unit] - started, trial.score_at(unit))
        for trial in trials
        for unit in trial.reports
    )
    return found, round(sum(trial.last.get("tokens") or 0 for trial in trials))


def run_student(options: Options, total: int) -> Times:
    """Run the script; returns its scores over time."""
    started, log = time.time(), options.out.absolute() / "student.jsonl"
    given = {
        "data-dir": options.data_dir.absolute(),
        "encoder": options.encoder.absolute(),
        "log": log,
        "budget": options.budget,
        "total": total,
        "slots": options.slots,
        "seed": options.seed,
    }
    _run("tests/benchmarks/student_script.py", given)
    lines = map(json.loads, log.read_text("utf-8").splitlines())
    return sorted((own["time"] - started, own["score"]) for own in lines)


def _run(script: str, options: dict[str, object], *flags: str) -> None:
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    found = {**os.environ, "PYTHONPATH": str(REPOSITORY)}  # processes of trials import the metrics
    command = [sys.executable, str(REPOSITORY / script), *arguments, *flags]
    subprocess.run(command, check=True, env=found)


def time_to(times: Times, score: float) -> float:
    """Return when a search first had a score at least as high, in seconds; infinity if never."""
    return next((seconds for seconds, own in times if own >= score), math.inf)


def table(ours: Times, theirs: Times) -> str:
    """Return when each had the score that it and that the other ends with."""
    ends = {"ours": max(own for _, own in ours), "the script's": max(own for _, own in theirs)}
    lines = ["| score | ours has it after | the script has it after | share |", "|---|---|---|---|"]
    for name, end in ends.items():
        own, other = time_to(ours, end), time_to(theirs, end)
        share = "" if math.isinf(own) or math.isinf(other) else f"{own / other:.2f}"
        lines.append(f"| {name} last, {end:.4f} | {_shown(own)} | {_shown(other)} | {share} |")
    return "\n".join([*lines, f"| all of it | {_shown(ours[-1][0])} | {_shown(theirs[-1][0])} | |"])


def _shown(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.0f} s"


if __name__ == "__main__":
    main(tyro.cli(Options))
