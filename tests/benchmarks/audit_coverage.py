"""Whether the audit's interval covers how many stopped trials would have won.

    python tests/benchmarks/audit_coverage.py [--searches 200] [--schedulers promotion-asha asha]

Whole searches are played with the real scheduler and dispatcher on made-up curves (families.py),
random search and four slots. All curves are known, so that one can count how many of the trials
that rungs stopped would have scored more than every full run that no rung stopped, and see whether
the 90 % interval of `search/report/audit_estimate.py`, which sees the audited ones only, has this
number in it.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro

from search.log.history import History, Journal
from search.log.trial import Metrics, TrialRecord
from search.loop.make_dispatcher import make_dispatcher
from search.planning.plan import Plan
from search.planning.resume import header
from search.replaying.simulated_slots import SimulatedSlots, about_one_second
from search.report.audit_estimate import CutWinners, cut_winners, is_cut
from tests.benchmarks.curve import Curve, CurveOf
from tests.benchmarks.families import Family, family
from tests.benchmarks.replay import any_plan

_SLOTS = 4
_SHARES = (0.05, 0.2)


@dataclass(frozen=True)
class Options:
    """Play searches with an audit, and count how often its interval is right."""

    searches: int = 200
    """Searches of each kind."""

    trials: int = 40
    """Trials of a search."""

    families: tuple[str, ...] = ("crossing", "parallel")
    """Families of curves."""

    schedulers: tuple[str, ...] = ("promotion-asha",)
    """Schedulers with rungs."""


def main(options: Options) -> None:
    """Play, and print a table."""
    print("| curves | scheduler | share | stopped | would have won | ran on | covered | width |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        plan = any_plan(folder)
    for name, scheduler, share in product(options.families, options.schedulers, _SHARES):
        own, made = replace(plan.options, scheduler=scheduler, audit=share), family(name)  # type: ignore[arg-type]
        asked = replace(plan, options=replace(own, searcher="random"), n_trials=options.trials)
        found = [search(asked, made, seed) for seed in range(options.searches)]
        print(_row(name, scheduler, share, found))


def search(plan: Plan, made: Family, seed: int) -> tuple[CutWinners, int]:
    """Play one search; returns the audit's estimate, and the truth.

    Args:
        plan: From `any_plan`, with searcher, scheduler, audit and trials.
        made: Space and curves.
        seed: Of problem, searcher, audit and times.
    """
    plan = replace(
        plan,
        options=replace(plan.options, seed=seed),
        space=made.space,
        points=(({**made.space.params_of(made.space.base)}, "default"),),
        carried=(),
    )
    journal = Journal(History())
    journal.write("search", slots=_SLOTS, **header(plan))
    curve_of = _remembered(made.problem(seed))

    def report_of(trial: TrialRecord, unit: int) -> tuple[Metrics, str]:
        return {**curve_of(trial).report(unit)}, ""

    slots = SimulatedSlots(_SLOTS, about_one_second(random.Random(seed)))
    for _ in slots.play(make_dispatcher(plan, journal), report_of):
        pass
    trials = list(journal.history.trials.values())
    found = cut_winners(trials)
    assert found is not None  # the default runs to its end
    best = max(t.score for t in trials if t.status == "done" and not t.is_audited)
    return found, sum(curve_of(t).scores[-1] > best for t in trials if is_cut(t))


def _remembered(curve_of: CurveOf):  # type: ignore[no-untyped-def]
    known: dict[int, Curve] = {}

    def find(trial: TrialRecord) -> Curve:
        if trial.number not in known:
            known[trial.number] = curve_of(trial.params)
        return known[trial.number]

    return find


def _row(name: str, scheduler: str, share: float, found: list[tuple[CutWinners, int]]) -> str:
    stopped = np.mean([own.stopped for own, _ in found])
    ran_on = np.mean([own.run_on for own, _ in found])
    truths = [truth for _, truth in found]
    covered = np.mean([own.low <= truth <= own.high for own, truth in found])
    error = 1.96 * math.sqrt(covered * (1 - covered) / len(found))
    width = np.mean([(own.high - own.low) / max(1, own.stopped) for own, _ in found])
    won = f"{np.mean(truths):.1f} (at most {max(truths)})"
    return (
        f"| {name} | {scheduler} | {share:g} | {stopped:.1f} | {won} | {ran_on:.1f} | "
        f"{covered:.1%} ± {error:.1%} | {width:.0%} |"
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
