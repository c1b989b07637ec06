"""Which searcher and scheduler find the best configuration, on recorded and made-up curves.

    python tests/benchmarks/search_quality.py [--replays 100] [--budget 40] [--out FOLDER]

Replays whole searches: the real searchers, schedulers and dispatcher, on learning curves that are
known beforehand, with equal total budgets. A score is what a full run of the trial is worth that
leads the leaderboard, by examples that the search does not see, so that luck in what it does see
earns nothing. The curves are those of four families (see families.py):

    crossing   made up: the faster a curve rises, the lower it ends
    parallel   made up: the order at the first rung is that at the end
    recorded   like those of random configurations of the space `full` that were run to the end
               twice on real data, and of runs near them (record.py): they differ, cross and
               scatter as much, get as high, and are as smooth (surrogate.py)
    tasks      likewise, of a smaller encoder and less training; what trials report has the metric
               of each task, as in a search, not their mean alone (task_surrogate.py)

The same seed gives all contestants the same problem, so differences are paired. Intervals are 95 %
of Student's t over replays; `worse` is a one-sided test at 5 %, Holm's correction over contestants.
That no difference is significant does not make two equal: the bound says by how much the default
may be worse than any other (one-sided 95 %, Bonferroni's correction). Every seed has another
landscape; the recorded ones share what a forest says of the params. The stock pairing has Optuna's
best settings for conditional params (`group`), which Ray's default leaves off; `stepwise` moves the
choices only.
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

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.progress import track
from scipy import stats

from search.planning.plan import Plan
from search.report.figures import save
from tests.benchmarks.curve import UNITS
from tests.benchmarks.families import Family, family, space_of
from tests.benchmarks.recorded import TABLES, about, read_table
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

    families: tuple[str, ...] = ("crossing", "parallel", "recorded", "tasks")
    """Which families."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    """Which of them; the default and the stock pairing are always there."""

    jobs: int = os.cpu_count() or 1
    """Replays at the same time."""

    out: Path | None = None
    """Where to write a picture (curves.png) and the figures (quality.json)."""


def main(options: Options) -> None:
    """Replay, print the tables, and write the picture."""
    if unknown := set(options.contestants) - set(CONTESTANTS):
        sys.exit(f"no contestant is called {min(unknown)!r}; there are {', '.join(CONTESTANTS)}")
    found: dict[str, Curves] = {}
    for name in options.families:
        if name in TABLES:
            print(about(space_of(name), *map(read_table, TABLES[name])))
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


_family: Family | None = None  # of this process: the forest is fitted once
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
    """Return the mean score of every contestant, and how much better the default is."""
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
    """Return the lower one-sided bound of a mean."""
    return float(values.mean() - stats.t.ppf(1 - level, len(values) - 1) * stats.sem(values))


def verdicts(curves: Curves) -> str:
    """Return whether the default is worse than any other, and its budget against the stock's."""
    own = curves[_DEFAULT]
    others = [name for name in curves if name != _DEFAULT]
    p = [stats.ttest_rel(own[:, -1], curves[n][:, -1], alternative="less").pvalue for n in others]
    worse = [name for name, value in zip(others, holm(p), strict=True) if value < 0.05]
    said = f"the default is significantly worse than: {', '.join(worse) or 'none'}"
    lowest = min(_lower(own[:, -1] - curves[name][:, -1], 0.05 / len(others)) for name in others)
    said += f"; it is worse than none by more than {max(0.0, -lowest):.4f}"
    reached, low, high = budget_share(own, curves[_STOCK])
    return (
        f"{said}\nshare of the budget after which its mean is that which the stock pairing ends "
        f"with: {reached:.2f} (95 %: {low:.2f} to {high:.2f})"
    )


def holm(p: list[float]) -> list[float]:
    """Return p-values after Holm's correction (1979)."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def budget_share(own: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Return the share of the budget at which one mean reaches the other's last, and an interval.

    Infinity where it never does. The interval is a bootstrap over replays.
    """
    draw = np.random.default_rng(0)
    n, budget = own.shape

    def share(rows: np.ndarray) -> float:
        there = own[rows].mean(axis=0) >= other[rows, -1].mean()
        return (int(there.argmax()) + 1) / budget if there.any() else float("inf")

    drawn = [share(draw.integers(n, size=n)) for _ in range(1000)]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return share(np.arange(n)), float(low), float(high)


def picture(found: dict[str, Curves]) -> Figure:
    """Return the mean score over the budget, one panel for each family."""
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
