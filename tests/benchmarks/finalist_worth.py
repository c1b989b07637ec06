"""What finalists are worth: false winners, gaps that are found, and the quality of the winner.

    python tests/benchmarks/finalist_worth.py --searches 400
    python tests/benchmarks/finalist_worth.py --money

Scores are made up with the noise that was recorded (see README.md): the luck of a seed, that of a
configuration with the examples of *select* and of *confirm*, and that of a run with them.

The first command plays the real race on the real log after a search of which a few trials ran to
their ends: all configurations equal, or one of them better by a gap. The second one compares, at
equal total budget, the true quality of winners without finalists and with a share of the budget for
them; there the search and the race are simplified and vectorised: random configurations, two rungs
whose scores tell so much about the last one, and a race that leaves out whoever is 1.28 standard
errors of seeds behind.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro

from search.log.events import VERSION
from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.finalists import Finalists

# Standard deviations of a score: of the luck of a seed, of a run with the examples, and of a
# configuration with the examples. Together a difference of two single runs has .0127.
SEED, RUN, EXAMPLES = 0.006, 0.005, 0.0045
RUNG_CORRELATIONS = (0.5, 0.7)  # of a score after 1/9 and 1/3 of a run with the true quality


@dataclass(frozen=True)
class Options:
    """Measure what finalists are worth."""

    searches: int = 400
    """Searches of each kind."""

    money: bool = False
    """Compare shares of the budget instead."""


class Luck:
    """Draws scores on *select* and *confirm*, and knows how they vary with the examples."""

    def __init__(self, worth: Sequence[float], seed_noise: float, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._worth, self._seed_noise = worth, seed_noise
        self._own = self._draw.normal(0, EXAMPLES, (len(worth), 2))

    def scores(self, config: int) -> dict[str, float]:
        """Return what a full run of a configuration reports."""
        seed = self._draw.normal(0, self._seed_noise)
        run = self._worth[config] + self._own[config] + seed + self._draw.normal(0, RUN, 2)
        return {"score": float(run[0]), "confirm_score": float(run[1])}

    def covariance(self, runs: Sequence[TrialRecord], split: str) -> Any:
        """Return the (n, n) covariance of runs over draws of examples."""
        of = np.array([run.number if run.seed_of is None else run.seed_of for run in runs])
        return EXAMPLES**2 * (of[:, None] == of) + RUN**2 * np.eye(len(runs))


class NoConfig:
    """Stands for the configuration of a run, which nobody trains here."""

    seed = 0

    def model_copy(self, update: dict[str, int]) -> NoConfig:
        """Return the same."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


def race(luck: Luck, n_done: int, most: int, n_runs: int) -> History:
    """Return the history of a search with so many full runs besides the default, and its race."""
    journal = Journal(History())
    journal.write("search", version=VERSION, n_trials=n_done + 1, options={}, units=1)
    config: Any = NoConfig()

    def train(number: int, config: int) -> None:
        metrics = luck.scores(config)
        journal.write("reported", trial=number, unit=1, metrics=metrics, failure="")
        journal.write("ended", trial=number, status="done", error=None)

    for number in range(n_done + 1):
        origin = "default" if number == 0 else "random"
        given: dict[str, Any] = {"params": {}, "run_config": {}, "bracket": 0, "origin": origin}
        journal.write("suggested", trial=number, **given)
        journal.history.trials[number]._config = config
        train(number, number)
    finalists = Finalists(journal, most, n_runs, luck.covariance, lambda line: None)
    run = finalists.begin()
    while run is not None:
        assert run.seed_of is not None
        train(run.number, run.seed_of)
        run = finalists.next()
    return journal.history


def claims(options: Options) -> None:
    """Print the share of searches that claim a winner, with and without a gap, and the cost."""
    kinds = [
        ("all equal", 0.0, SEED),
        ("all equal, seeds three times as noisy", 0.0, 3 * SEED),
        ("gap of 1 standard error of a difference of two runs (.0127)", 0.0127, SEED),
        ("gap of 2 standard errors (.0254)", 0.0254, SEED),
        ("gap of 3 standard errors (.0381)", 0.0381, SEED),
    ]
    print("| full runs for finalists | " + " | ".join(kind for kind, _, _ in kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for most, n_runs in ((1, 4), (2, 6), (1, 8), (3, 16), (1, 40)):
        cells = []
        for _, gap, seed_noise in kinds:
            n_claimed = n_used = 0
            for seed in range(options.searches):
                worth = [0.5, 0.5 + gap, 0.5, 0.5, 0.5, 0.5]
                history = race(Luck(worth, seed_noise, seed), 5, most, n_runs)
                n_used += len(history.seed_runs)
                verdicts = [t.verdict for t in history.trials.values() if t.verdict is not None]
                n_claimed += any(verdict.is_better for verdict in verdicts)
            n = options.searches
            cells.append(f"{100 * n_claimed / n:.1f} % ({n_used / n:.1f})")
        print(f"| {n_runs}, {most} and the default | " + " | ".join(cells) + " |", flush=True)


def full_runs(n_trials: int) -> float:
    """Return the full runs that so many trials cost: units 1, 3 and 9, a third goes on."""
    return 1 + 1.12 * n_trials * (1 / 9 + 2 / 27 + 6 / 81)


def winners(budget: int, share: float, spread: float, n: int, seed: int) -> tuple[float, float]:
    """Return the mean true quality of n winners over the mean of all configurations, its error.

    Args:
        budget: Full runs of search and finalists together.
        share: Of finalists in the budget.
        spread: Standard deviation of the true quality of configurations; the default is average.
        n: Searches.
        seed: Of all draws.
    """
    draw = np.random.default_rng(seed)
    n_runs = int(share * budget + 1e-9)
    n_trials = 2
    while full_runs(n_trials + 1) <= budget - n_runs:
        n_trials += 1
    rows = np.arange(n)
    worth = draw.normal(0, spread, (n, n_trials + 1))
    worth[:, 0] = 0
    own = worth + draw.normal(0, EXAMPLES, worth.shape)
    noise = float(np.hypot(SEED, RUN))
    score = own + draw.normal(0, noise, worth.shape)
    alive = np.ones(worth.shape, bool)
    deviation = float(np.hypot(np.hypot(spread, EXAMPLES), noise))
    for correlation, part in zip(RUNG_CORRELATIONS, (3, 9), strict=True):
        rung = correlation * score / deviation
        rung += (1 - correlation**2) ** 0.5 * draw.normal(size=worth.shape)
        rung = np.where(alive, rung, -np.inf)
        rung[:, 0] = np.inf  # the default is protected
        kept = np.argsort(-rung, 1)[:, : 1 + max(1, round(n_trials / part))]
        alive = np.zeros_like(alive)
        np.put_along_axis(alive, kept, True, 1)
    rivals = np.where(alive, score, -np.inf)
    rivals[:, 0] = -np.inf
    n_rivals = int(min(3, max(1, n_runs // 2 - 1), alive.sum(1).min() - 1))
    order = np.argsort(-rivals, 1)[:, :n_rivals]
    finalists = np.concatenate([np.zeros((n, 1), int), order], 1)
    own, worth, total = (np.take_along_axis(v, finalists, 1) for v in (own, worth, score))
    count, live = np.ones(own.shape), np.ones(own.shape, bool)
    left = np.full(n, n_runs)
    while (left >= 2).any():
        mean = np.where(live, total / count, -np.inf)
        live &= mean >= mean.max(1, keepdims=True) - 1.28 * noise * (2 / count) ** 0.5
        live[:, 0] = True
        mean[:, 0] = np.inf
        first = np.argsort(-np.where(live, mean, -np.inf), 1)
        left[live.sum(1) < 2] = 0
        for place in range(n_rivals + 1):
            who = first[:, place]
            runs = live[rows, who] & (left > 0)
            total[rows, who] += np.where(runs, own[rows, who] + draw.normal(0, noise, n), 0)
            count[rows, who] += runs
            left = left - runs
    mean = total / count
    best = 1 + mean[:, 1:].argmax(1)
    error = np.sqrt(2 * EXAMPLES**2 + RUN**2 / count[rows, best] + RUN**2 / count[:, 0])
    leads = mean[rows, best] - mean[:, 0] > error  # else the default does
    found = np.where(leads, worth[rows, best], 0)
    return float(found.mean()), float(found.std() / n**0.5)


def money() -> None:
    """Print how much better winners are with finalists than without, at equal budget."""
    shares, n = (0.10, 0.15, 0.25, 0.5), 4000
    print("| budget | spread | without | " + " | ".join(f"{s:.0%}" for s in shares) + " |")
    print("|---" * (len(shares) + 3) + "|")
    for budget in (8, 16, 32, 64):
        for spread in (0.01, 0.02, 0.04):
            base, error = winners(budget, 0.0, spread, n, 0)
            cells = []
            for share in shares:
                if share * budget < 4:
                    cells.append("")
                    continue
                found, own = winners(budget, share, spread, n, 1)
                cells.append(f"{found - base:+.4f} ± {1.96 * np.hypot(error, own):.4f}")
            print(f"| {budget} | {spread} | {base:.4f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    if chosen.money:
        money()
    else:
        claims(chosen)
