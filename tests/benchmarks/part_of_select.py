"""How well a part of *select* tells trials apart, for several sizes of the part.

    python tests/benchmarks/part_of_select.py --out OUT

OUT is that of real_search.py: the runs that its searches trained to the end left their predictions
there. Parts are drawn from these with replacement, as if *select* were endless. What a part adds to
the scores of all runs alike changes no comparison and is not counted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.report.comparison import predicted_numbers
from tests.benchmarks.curve import UNITS
from trainable.metrics import scores
from trainable.tasks import TaskName, Tasks
from trainable.training.predictions import PREDICTIONS, read_compared


@dataclass(frozen=True)
class Options:
    """How well a part of *select* tells trials apart."""

    out: Path
    """Folder of real_search.py."""

    settings: tuple[str, ...] = ("course", "sick")
    """Settings of real_search.py."""

    sizes: tuple[int, ...] = (100, 200, 500, 1000)
    """Examples of each task."""

    draws: int = 200
    """Parts of each size."""


@dataclass(frozen=True)
class Runs:
    """Runs of one setting that were trained to the end, the best first.

    Attributes:
        tasks: Their tasks.
        predicted: For each run, task -> (n,) predictions for *select*.
        labels: Task -> (n,) labels.
    """

    tasks: Tasks
    predicted: list[dict[TaskName, Tensor]]
    labels: dict[TaskName, Tensor]

    def scores(self, places: dict[TaskName, Tensor]) -> NDArray[np.float64]:
        """Return the (n_runs,) scores on examples at some places of each task."""
        labels = {task: own[places[task]] for task, own in self.labels.items()}
        parts = ({task: own[places[task]] for task, own in run.items()} for run in self.predicted)
        return np.array([scores(part, labels, self.tasks)["score"] for part in parts])


def main(options: Options) -> None:
    """Print a table."""
    print("| setting | runs | examples | error of a score beside all runs' | rank correlation |")
    print("|---|---|---|---|---|")
    for setting in options.settings:
        runs = read_runs(options.out, setting)
        for size in options.sizes:
            error, rank = compare(runs, size, options.draws)
            print(f"| {setting} | {len(runs.predicted)} | {size} | {error:.4f} | {rank:.3f} |")


def read_runs(out: Path, setting: str) -> Runs:
    """Return the runs of all searches in a setting, those with equal scores once."""
    found: dict[float, tuple[dict[TaskName, Tensor], dict[TaskName, Tensor]]] = {}
    tasks: Tasks = {}
    for log in sorted((out / "searches").glob(f"{setting}.*/{EVENTS}")):
        for trial in History(read_events(log)).trials.values():
            path = log.parent / f"trial_{trial.number}" / f"unit_{UNITS}" / PREDICTIONS
            if not path.exists():
                continue
            tasks = trial.config.table
            read = read_compared([path.read_bytes()], "select", tasks)
            assert read is not None, f"{path}: torn"
            predicted = {
                task: torch.from_numpy(predicted_numbers(trial, tasks, task, own[0]))
                for task, own in read[0].items()
            }
            labels = {task: own[1].double() for task, own in read[0].items()}
            found[scores(predicted, labels, tasks)["score"]] = (predicted, labels)
    if not found:
        sys.exit(f"error: {out / 'searches'} has no whole run of {setting!r}")
    best_first = [found[score] for score in sorted(found, reverse=True)]
    return Runs(tasks, [own[0] for own in best_first], best_first[0][1])


def compare(runs: Runs, size: int, draws: int) -> tuple[float, float]:
    """Return what parts of a size do to the scores of runs.

    Returns:
        The standard deviation of what a part adds to a score, over the better half of the runs,
        and the mean rank correlation of all scores on a part with those on all examples.
    """
    whole = runs.scores({task: torch.arange(len(own)) for task, own in runs.labels.items()})
    draw, better = torch.Generator().manual_seed(0), (len(whole) + 1) // 2
    variances, ranks = [], []
    for _ in range(draws):
        places = {
            task: torch.randint(len(own), (size,), generator=draw)
            for task, own in runs.labels.items()
        }
        part = runs.scores(places)
        variances.append((part - whole)[:better].var(ddof=1))
        ranks.append(spearmanr(part, whole).statistic)
    return float(np.sqrt(np.mean(variances))), float(np.mean(ranks))


if __name__ == "__main__":
    main(tyro.cli(Options))
