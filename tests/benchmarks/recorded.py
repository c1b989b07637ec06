"""Read and write recorded curves, and measure how smooth the landscape between them is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.model_selection import KFold

from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.surrogate import Surrogate, fitted, runs_of, shared_variance
from trainable.cache.files import write_bytes

_FOLDER = Path(__file__).parent
# Family -> files of recorded configurations and of their neighbours.
TABLES = {
    "recorded": (
        _FOLDER / "recorded_curves.jsonl.gz",
        _FOLDER / "recorded_neighbours.jsonl.gz",
    ),
    "tasks": (_FOLDER / "task_curves.jsonl.gz", _FOLDER / "task_neighbours.jsonl.gz"),
}
_LAST = UNITS - 1


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table.

    A recorded configuration has `params` and two `runs`, each with `scores` and `worth`. A
    neighbour has `params`, `scores`, `worth`, and in `of` the row of the configuration that it is
    near. Scores are None after units that were not in `--score-at` of record.py. A run may have
    `tasks`: metric -> `scores` and `worth`; runs of the family `recorded` do not.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table as a whole file; equal rows give equal bytes."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_bytes(path, gzip.compress(lines.encode(), mtime=0))


class Likeness(NamedTuple):
    """How much of c (see surrogate.py) configurations have in common with their neighbours.

    Attributes:
        found: Measured on recorded runs; 1 is the value for the same configuration.
        error: Standard error of `found`.
        landscape: The same quantity in the surrogate's landscapes.
        n: Number of neighbours.
    """

    found: float
    error: float
    landscape: float
    n: int


def likeness(
    surrogate: Surrogate, trials: list[dict[str, Any]], near: list[dict[str, Any]]
) -> Likeness:
    """Return how alike configurations and neighbours are beyond what a forest predicts of them.

    Predictions are cross-validated: a forest has seen neither the configuration nor its neighbour.

    Args:
        surrogate: Fitted to `trials`.
        trials: Rows of recorded configurations.
        near: Rows of their neighbours.
    """
    inputs, runs = surrogate.features([t["params"] for t in trials]), runs_of(trials)[..., _LAST]
    near_inputs = surrogate.features([row["params"] for row in near])
    near_scores = np.array([row["scores"][_LAST] for row in near])
    of = np.array([row["of"] for row in near])
    left, near_left = np.empty_like(runs), np.empty_like(near_scores)
    for known, held_out in KFold(10, shuffle=True, random_state=0).split(inputs):
        forest = fitted(inputs[known], runs[known].mean(axis=1))
        left[held_out] = runs[held_out] - forest.predict(inputs[held_out])[:, None]
        own = np.isin(of, held_out)
        near_left[own] = near_scores[own] - forest.predict(near_inputs[own])
    both = left.mean(axis=1)
    # Another run of the same configuration would have this slope.
    same = float(shared_variance(left) / both.var())
    line = stats.linregress(both[of], near_left)
    expected = [surrogate.likeness(trials[row["of"]]["params"], row["params"]) for row in near]
    return Likeness(
        float(line.slope / same), float(line.stderr / same), float(np.mean(expected)), len(near)
    )


def about(space: Space, trials: list[dict[str, Any]], near: list[dict[str, Any]]) -> str:
    """Return a paragraph: how much recorded curves scatter, and how much a forest explains."""
    surrogate = Surrogate(space, trials)
    scores = runs_of(trials)[..., :UNITS]
    kept = stats.spearmanr(scores[..., 0].ravel(), scores[..., -1].ravel()).statistic
    twice = stats.spearmanr(scores[:, 0, -1], scores[:, 1, -1]).statistic
    noise = (scores[:, 0, -1] - scores[:, 1, -1]) / np.sqrt(2)
    best = np.argsort(scores[..., -1].mean(axis=1))[-len(noise) // 4 :]
    first, last = surrogate.explained[0], surrogate.explained[_LAST]
    shared = likeness(surrogate, trials, near)
    return (
        f"{len(trials)} recorded configurations. Rank correlations: {kept:.2f} of the first unit "
        f"with the last; {twice:.2f} of the last unit of two runs of a configuration; {first:.2f} "
        f"(first unit) and {last:.2f} (last unit) of the forest's out-of-bag predictions with the "
        f"means of two runs. Standard deviations of the last score: {scores[..., -1].std():.3f} in "
        f"all; {noise.std():.3f} over seeds of one configuration, {noise[best].std():.3f} for the "
        f"best quarter; {surrogate.residuals[..., _LAST].std():.3f} not explained by the forest. "
        f"{shared.n} neighbours share {shared.found:.2f} ± {shared.error:.2f} (standard error) of "
        f"what belongs to a configuration and is not explained by the forest; in the landscapes "
        f"they share {shared.landscape:.2f}"
    )
