"""Whether replays of a search rank schedulers as running these schedulers does.

    python tests/benchmarks/replay_ranking.py [--searches 40] [--draws 20] [--runs FOLDER ...]

A search is played with the real dispatcher, so that most of its curves end early, and is replayed
as `search/replay.py` does: ends of curves are drawn. The same schedulers then run in the same
orders on the whole curves, which only this script knows. Compared are the scores of what three
schedulers find for half of what the search spent. The curves are made up (families.py), or with
`--runs` those of the runs that ended in searches of real_search.py: OUT/runs/NAME. Real runs are
scored at rungs only; between them their curves are straight lines, which no scheduler looks at.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro

from search.log.history import History, Journal
from search.log.trial import Metrics, TrialRecord
from search.loop.dispatcher import Dispatcher
from search.planning.algorithms import make_scheduler
from search.planning.options import SearchOptions
from search.replaying.candidates import Candidate, Recording, replay
from search.replaying.curve_ends import CurveEnds
from search.replaying.simulated_slots import SimulatedSlots, about_one_second
from search.schedulers.rungs import rungs
from search.searchers.base import Suggestion, draw_params
from tests.benchmarks.curve import UNITS
from tests.benchmarks.families import family
from tests.benchmarks.real_search import OTHER_SEED
from trainable.run_config import RunConfig

_OWN = Candidate("promotion-asha", 3, UNITS)
COMPARED = (_OWN, Candidate("asha", 3, UNITS), Candidate("none", 3, UNITS))
_LEAST = 6  # whole curves
Configured = tuple[RunConfig, list[float]]


@dataclass(frozen=True)
class Options:
    """Compare rankings by replays with those by running schedulers on whole curves."""

    searches: int = 40
    """Searches that are recorded, of each family."""

    trials: int = 24
    """Trials of a search; with --runs, as many as there are curves."""

    draws: int = 20
    """Orders in which each scheduler runs, and replays."""

    audit: float = 0.05
    """Share of the stopped trials that run on in the recorded search."""

    families: tuple[str, ...] = ("crossing", "parallel")
    """Families of curves."""

    runs: tuple[Path, ...] = ()
    """Folders of recorded runs, instead of families."""


def main(options: Options) -> None:
    """Record, replay, compare, and print a table."""
    print(
        "| curves | pairs with a difference | replay has their order | in all pairs | "
        "error of differences | 90 % intervals that hold the mean |"
    )
    print("|---|---|---|---|---|---|")
    if options.runs:
        curves = recorded(options.runs)
        if len(curves) < _LEAST:
            sys.exit(f"error: {len(curves)} recorded runs are whole; at least {_LEAST} are needed")
        found = [_compare(curves, seed, options) for seed in range(options.searches)]
        print(_row(f"{len(curves)} real ones", found))
        return
    for name in options.families:
        found = [
            _compare(made(name, options.trials, s), s, options) for s in range(options.searches)
        ]
        print(_row(name, found))


def made(name: str, n_trials: int, seed: int) -> list[Configured]:
    """Return configurations drawn at random, with their curves."""
    own = family(name)
    curve_of, draw = own.problem(seed), random.Random(f"configurations {seed}")
    drawn = [draw_params(own.space.params(), draw) for _ in range(n_trials)]
    return [(own.space.config_of(params), curve_of(params).scores) for params in drawn]


def recorded(folders: Sequence[Path]) -> list[Configured]:
    """Return the runs that ended, of searches by real training, but no winner's retraining."""
    found, levels = [], rungs(UNITS, _OWN.eta)
    for path in sorted(own for folder in folders for own in folder.glob("*/reports.json")):
        known = json.loads(path.read_text(encoding="utf-8"))
        config = RunConfig.from_dict(known["run_config"], str(path))
        scores = {unit: own["score"] for unit, own in enumerate(known["reports"], 1)}
        at_rungs = [scores.get(unit) for unit in levels]
        if config.seed < OTHER_SEED and all(s is not None and math.isfinite(s) for s in at_rungs):
            curve = np.interp(range(1, UNITS + 1), levels, np.array(at_rungs, float))
            found.append((config, curve.tolist()))
    return found


class _Listed:
    """Suggests configurations in the order of a list."""

    def __init__(self, configured: Sequence[Configured]) -> None:
        self._configured = configured

    def suggest(self, number: int, history: History) -> Suggestion | None:
        if number >= len(self._configured):
            return None
        params: Any = {"number": number}
        return Suggestion(params, "random", self._configured[number][0])


def _record(configured: Sequence[Configured], seed: int, audit: float) -> Recording:
    """Play a search, of which most curves end early."""
    n, history = len(configured), History()
    journal = Journal(history)
    options = SearchOptions(units=UNITS, audit=audit, seed=seed)
    known = {"scheduler": options.scheduler, "audit": audit, "seed": seed}
    journal.write("search", version=2, options=known, n_trials=n, units=UNITS, slots=1)
    space: Any = None
    scheduler = make_scheduler(options, n, history)
    dispatcher = Dispatcher(journal, scheduler, _Listed(configured), space, [], UNITS)

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        return {"score": configured[trial.number][1][unit - 1]}, ""

    slots = SimulatedSlots(1, about_one_second(random.Random(seed)))
    for _ in slots.play(dispatcher, report_of):
        pass
    trials = list(history.trials.values())
    return Recording(trials, UNITS, 1, sum(trial.units for trial in trials))


def _compare(
    configured: Sequence[Configured], seed: int, options: Options
) -> tuple[np.ndarray, np.ndarray]:
    """Return (3, draws) scores after half of the budget, by replays and on the whole curves."""
    shuffled = random.Random(seed).sample(list(configured), len(configured))
    recording = _record(shuffled, seed, options.audit)
    ends = CurveEnds(recording.trials, UNITS)
    whole = {number: scores for number, (_, scores) in enumerate(shuffled)}
    found = np.empty((2, len(COMPARED), options.draws))
    for k in range(options.draws):
        drawn = ends.draw(np.random.default_rng([seed, k]))
        order = random.Random(f"{seed} order {k}").sample(recording.trials, len(recording.trials))
        for c, candidate in enumerate(COMPARED):
            for way, curves in enumerate((drawn, whole)):
                found[way, c, k] = replay(candidate, recording, order, curves, k).half.score
    return found[0], found[1]


def _row(name: str, found: list[tuple[np.ndarray, np.ndarray]]) -> str:
    n_pairs = n_different = n_right = n_covered = n_right_all = 0
    errors = []
    for replayed, true in found:
        for a, b in combinations(range(len(COMPARED)), 2):
            guess, truth = replayed[a] - replayed[b], true[a] - true[b]
            n_pairs += 1
            errors.append(abs(guess.mean() - truth.mean()))
            low, high = np.quantile(guess, (0.05, 0.95))
            n_covered += low <= truth.mean() <= high
            is_right = guess.mean() * truth.mean() > 0
            n_right_all += is_right
            # A difference that running them in so many orders shows, too.
            if abs(truth.mean()) > 2 * truth.std(ddof=1) / len(truth) ** 0.5:
                n_different += 1
                n_right += is_right
    return (
        f"| {name} | {n_different} of {n_pairs} | {n_right / max(1, n_different):.0%} | "
        f"{n_right_all / n_pairs:.0%} | {np.mean(errors):.4f} | "
        f"{n_covered / n_pairs:.0%} |"
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
