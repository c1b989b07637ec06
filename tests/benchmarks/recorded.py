"""The recorded runs, and what they say of a landscape between them."""

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
# Family -> trials, and runs near them.
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

    Recorded ones have `params` of trials, and `scores` and `worth` of two `runs` of each; near ones
    have `params`, `scores` and `worth` of runs near them, and which trial each is a neighbour `of`.
    Scores are None after units for which record.py was not asked. `tasks` of a run, metric -> its
    own `scores` and `worth`, are not in the tables of "recorded".
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table whole; the same rows give the same bytes."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_bytes(path, gzip.compress(lines.encode(), mtime=0))


class Likeness(NamedTuple):
    """How much of c (`tests.benchmarks.surrogate`) trials have in common with their neighbours.

    Attributes:
        found: By runs of both; 1 would be that of another run of the same configuration.
        error: Its standard error.
        landscape: The same of the surrogate's landscapes.
        n: Neighbours.
    """

    found: float
    error: float
    landscape: float
    n: int


def likeness(
    surrogate: Surrogate, trials: list[dict[str, Any]], near: list[dict[str, Any]]
) -> Likeness:
    """Return how alike trials and neighbours are beyond what a forest of other trials says of them.

    Args:
        surrogate: Of the trials.
        trials: Recorded ones.
        near: Runs near them.
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
    same = float(shared_variance(left) / both.var())  # slope of yet another run, where it is alike
    line = stats.linregress(both[of], near_left)
    expected = [surrogate.likeness(trials[row["of"]]["params"], row["params"]) for row in near]
    return Likeness(
        float(line.slope / same), float(line.stderr / same), float(np.mean(expected)), len(near)
    )


def about(space: Space, trials: list[dict[str, Any]], near: list[dict[str, Any]]) -> str:
    """Return how alike recorded curves are, and how much of them can be learnt."""
    surrogate = Surrogate(space, trials)
    scores = runs_of(trials)[..., :UNITS]
    kept = stats.spearmanr(scores[..., 0].ravel(), scores[..., -1].ravel()).statistic
    twice = stats.spearmanr(scores[:, 0, -1], scores[:, 1, -1]).statistic
    luck = (scores[:, 0, -1] - scores[:, 1, -1]) / np.sqrt(2)
    best = np.argsort(scores[..., -1].mean(axis=1))[-len(luck) // 4 :]
    first, last = surrogate.explained[0], surrogate.explained[_LAST]
    alike = likeness(surrogate, trials, near)
    return (
        f"{len(trials)} recorded configurations. Rank correlations: {kept:.2f} of the first unit "
        f"with the last, {twice:.2f} of the last of one run with that of the other, {first:.2f} "
        f"(first unit) and {last:.2f} (last) of the forest's out-of-bag predictions with the means "
        f"of two runs. Standard deviation of the last score: {scores[..., -1].std():.3f}; over "
        f"seeds of one configuration {luck.std():.3f}, of the best quarter {luck[best].std():.3f}; "
        f"left by the forest {surrogate.residuals[..., _LAST].std():.3f}. Of what belongs to a "
        f"configuration and the forest does not say, {alike.n} neighbours have {alike.found:.2f} ± "
        f"{alike.error:.2f} in common with it (standard error), and {alike.landscape:.2f} in the "
        f"landscapes"
    )
