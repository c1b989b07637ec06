"""Compare searchers and schedulers by replays of searches on known learning curves.

    python tests/benchmarks/search_quality.py [--replays 100] [--budget 40] [--out FOLDER]

Whole searches are replayed with the real searchers, schedulers and dispatcher and equal total
budgets. The score of a search is the worth of its leader: the quality of a full run on examples
that the search does not see, so that noise earns nothing. There are two families of curves
(families.py), both made up; real_search.py trains for real, and others_curves.py replays what other
people recorded:

    crossing   the faster a curve rises, the lower it ends
    parallel   the order at the first rung is the final order

Every seed has its own landscape, and all contestants see the same one, so differences are paired.
Intervals are 95 % of Student's t over replays; `worse` is a one-sided test at 5 % with Holm's
correction over contestants. Contestants without a significant difference need not be equal: the
bound says by how much the default may be worse than any other (one-sided 95 %, Bonferroni's
correction). The stock pairing has Optuna's best settings for conditional params (`group`), which
Ray's default leaves off. `stepwise` varies choices only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.progress import track
from scipy import stats

from search.planning.plan import Plan
from search.report.figures import save
from tests.benchmarks.curve import UNITS
from tests.benchmarks.families import Family, family
from tests.benchmarks.replay import CONTESTANTS, Replay, any_plan, replay
from trainable.cache.files import write_json

_DEFAULT, *_ = CONTESTANTS
_STOCK = "tpe + asha (stock)"
Curves = dict[str, np.ndarray]  # contestant -> (n_replays, budget) scores


@dataclass(frozen=True)
class Options:
    """Replay searches and compare them."""

    replays: int = 100
    """Searches of each contestant on each family."""

    budget: int = 40
    """Budget of a search, in full runs."""

    families: tuple[str, ...] = ("crossing", "parallel")
    """Families of curves."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    """Searchers and schedulers; the default and the stock pairing always take part."""

    jobs: int = os.cpu_count() or 1
    """Replays at the same time."""

    out: Path | None = None
    """Folder for a picture (curves.png) and the mean scores (quality.json)."""


def main(options: Options) -> None:
    """Replay, print the tables, and write the picture."""
    if unknown := set(options.contestants) - set(CONTESTANTS):
        sys.exit(
            f"error: no contestant is called {min(unknown)!r}; choose from {', '.join(CONTESTANTS)}"
        )
    found: dict[str, Curves] = {}
    for name in options.families:
        found[name] = curves = _replays(name, options)
        print(
            f"\n{name}: {options.replays} replays, each of the budget of {options.budget} full runs"
        )
        print(table(curves))
        print(verdicts(curves))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        save(picture(found), options.out / "curves.png")
        write_json(options.out / "quality.json", {n: _means(c) for n, c in found.items()})


_family: Family | None = None
_plan: Plan | None = None


def _begin(name: str) -> None:
    global _family, _plan
    _family = family(name)
    with tempfile.TemporaryDirectory() as folder:
        _plan = any_plan(folder)


def _one(task: tuple[str, int, int]) -> Replay:
    assert _plan is not None
    assert _family is not None
    contestant, seed, budget = task
    return replay(_plan, _family, contestant, seed, budget)


def _replays(name: str, options: Options) -> Curves:
    asked = [c for c in CONTESTANTS if c in (_DEFAULT, _STOCK, *options.contestants)]
    tasks = [(c, s, options.budget * UNITS) for s, c in product(range(options.replays), asked)]
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), _begin, (name,)) as pool:
        done = list(track(pool.map(_one, tasks), name, len(tasks), transient=True))
    curves: dict[str, list[list[float]]] = {contestant: [] for contestant in asked}
    for (contestant, *_), found in zip(tasks, done, strict=True):
        curves[contestant].append(found.final)
    return {contestant: np.array(rows) for contestant, rows in curves.items()}


def table(curves: Curves) -> str:
    """Return a table of mean scores, and of the differences between the default and others."""
    lines = [
        "| contestant | half the budget | whole budget | default is better by |",
        "|---|---|---|---|",
    ]
    for name, own in curves.items():
        half, whole = own[:, own.shape[1] // 2 - 1], own[:, -1]
        better = _interval(curves[_DEFAULT][:, -1] - whole) if name != _DEFAULT else ""
        lines.append(f"| {name} | {_interval(half)} | {_interval(whole)} | {better} |")
    return "\n".join(lines)


def _interval(values: np.ndarray) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():+.4f} ± {half:.4f}".removeprefix("+")


def _lower(values: np.ndarray, level: float) -> float:
    """Return the lower bound of a one-sided interval of the mean."""
    return float(values.mean() - stats.t.ppf(1 - level, len(values) - 1) * stats.sem(values))


def verdicts(curves: Curves) -> str:
    """Return whether the default is worse than any other, and `budget_share` with the stock."""
    own = curves[_DEFAULT]
    others = [name for name in curves if name != _DEFAULT]
    p = [stats.ttest_rel(own[:, -1], curves[n][:, -1], alternative="less").pvalue for n in others]
    worse = [name for name, value in zip(others, holm(p), strict=True) if value < 0.05]
    text = f"the default is significantly worse than: {', '.join(worse) or 'none'}"
    lowest = min(_lower(own[:, -1] - curves[name][:, -1], 0.05 / len(others)) for name in others)
    text += f"; it is worse than none by more than {max(0.0, -lowest):.4f}"
    reached, low, high = budget_share(own, curves[_STOCK])
    return (
        f"{text}\nshare of the budget after which its mean reaches the final mean of the stock "
        f"pairing: {reached:.2f} (95 %: {low:.2f} to {high:.2f})"
    )


def holm(p: list[float]) -> list[float]:
    """Return p-values after Holm's correction (1979)."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def budget_share(own: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Return the share of the budget after which one mean reaches the other's final mean.

    Args:
        own: (n_replays, budget) scores.
        other: Scores of the same shape, with the same seeds.

    Returns:
        The share, and its 95 % interval by a bootstrap over replays; infinity where the mean is
        never reached.
    """
    draw = np.random.default_rng(0)
    n, budget = own.shape

    def share(rows: np.ndarray) -> float:
        reached = own[rows].mean(axis=0) >= other[rows, -1].mean()
        return (int(reached.argmax()) + 1) / budget if reached.any() else float("inf")

    drawn = [share(np.asarray(draw.integers(n, size=n))) for _ in range(1000)]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return share(np.arange(n)), float(low), float(high)


def picture(found: dict[str, Curves]) -> Figure:
    """Plot the mean score over the budget, with one panel for each family."""
    figure = Figure(figsize=(5 * len(found), 4), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for panel, (name, curves) in zip(panels, found.items(), strict=True):
        means = {contestant: own.mean(axis=0) for contestant, own in curves.items()}
        for contestant, mean in means.items():
            panel.plot(np.arange(1, len(mean) + 1) / UNITS, mean, label=contestant)
        low = min(mean[len(mean) // 8] for mean in means.values())
        panel.set_ylim(low, 1.05 * max(mean.max() for mean in means.values()) - 0.05 * low)
        panel.set(title=name, xlabel="budget spent, full runs")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("score of the leader after a full run")
    panels[0].legend(fontsize="small")
    return figure


def _means(curves: Curves) -> dict[str, Any]:
    return {name: [round(float(v), 5) for v in own.mean(axis=0)] for name, own in curves.items()}


if __name__ == "__main__":
    main(tyro.cli(Options))
