"""What a search's audited trials say of those that its rungs stopped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from search.log.trial import TrialRecord

_TAIL = 0.05  # on each side of a 90 % interval


@dataclass(frozen=True)
class CutWinners:
    """How many of the trials that rungs stopped would have won.

    Attributes:
        stopped: Trials that a rung stopped, those that run on among them.
        run_on: Those of them that ran on and are over.
        won: Those of these that scored more than every full run that no rung had stopped.
        low: Lower bound of the stopped trials that would have won, of a 90 % interval.
        high: Its upper bound.
        under_way: Stopped trials that were drawn to run on, and are not over.
    """

    stopped: int
    run_on: int
    won: int
    low: int
    high: int
    under_way: int = 0


def cut_winners(trials: Sequence[TrialRecord], unit: int | None = None) -> CutWinners | None:
    """Estimate how many stopped trials would have won; None where no full run was left to run.

    Trials are drawn for the audit without a look at their scores, so that those that ran on are a
    simple random sample of the stopped ones. The interval is exact for a sample from so few: it
    leaves out the numbers with which as many winners in the sample, or as few, would have a
    probability of at most 5 %. It is that of Clopper and Pearson for the hypergeometric
    distribution.

    Args:
        trials: All trials of a search.
        unit: Count those only that the rung after this unit stopped.
    """
    kept = [t.score for t in trials if t.status == "done" and not t.is_audited]
    if not kept:
        return None
    own = [t for t in trials if is_cut(t) and unit in (None, cut_at(t))]
    over = [t for t in own if t.is_audited and t.status in ("done", "failed")]
    won = sum(t.status == "done" and t.score > max(kept) for t in over)
    n, run_on = len(own), len(over)
    under_way = sum(t.is_audited for t in own) - run_on
    if not run_on:
        return CutWinners(n, 0, 0, 0, n, under_way)
    # A number of winners is possible if neither tail of what the sample then shows is rare.
    able = np.arange(won, n - run_on + won + 1)
    as_many, as_few = (hypergeom(n, able, run_on).sf(won - 1), hypergeom(n, able, run_on).cdf(won))
    able = able[(as_many > _TAIL) & (as_few > _TAIL)]
    return CutWinners(n, run_on, won, int(able[0]), int(able[-1]), under_way)


def is_cut(trial: TrialRecord) -> bool:
    """Whether a rung stopped a trial, also if it ran on."""
    is_stopped = trial.status == "stopped" and bool(trial.decided) and math.isfinite(trial.score)
    return trial.is_audited or is_stopped


def cut_at(trial: TrialRecord) -> int:
    """Return the unit of the rung that stopped a trial."""
    return trial.audited_at or max(trial.decided)


def sentence(found: CutWinners, share: float) -> str:
    """Return what is known of the stopped trials, in one line.

    Args:
        found: The estimate.
        share: Share of stopped trials that are drawn.
    """
    n, run_on = found.stopped, found.run_on
    if n == 0:
        return ""
    all_stopped = "1 trial that a rung" if n == 1 else f"the {n} trials that rungs"
    if run_on == 0:
        drawn = f"{found.under_way or 'none'} of {all_stopped} stopped was drawn to run on"
        if found.under_way:
            return f"audit: {drawn}, and did not come to an end, so that nothing is known yet"
        return f"audit: {drawn} ({share:.0%} are), so that nothing is known of what was cut"
    which = f"{run_on} of {all_stopped} stopped ran on to {_their(run_on)} end"
    found_won = f"{found.won or 'none'} of these would have won"
    most = f"{found.low} to {found.high} of the {n}"
    wide = ", which is too few to say more" if found.high - found.low > n / 5 else ""
    return f"audit: {which}, and {found_won}; so {most} would have (90 % interval){wide}"


def _their(n: int) -> str:
    return "its" if n == 1 else "their"


@dataclass(frozen=True)
class OtherRungs:
    """What a search with other rungs would have kept of the same trials.

    Attributes:
        eta: One in eta trials passes each rung.
        levels: Units of the rungs, ascending; the last one ends the run.
        cut_at: Unit of the rung that would have stopped the winner; None if none would.
        best: The best full run that would have been left; None where none is known.
    """

    eta: int
    levels: tuple[int, ...]
    cut_at: int | None
    best: TrialRecord | None


def other_rungs(
    trials: Iterable[TrialRecord],
    winner: TrialRecord,
    levels: tuple[int, ...],
    eta: int,
    share: float,
) -> OtherRungs:
    """Say what successive halving at other rungs keeps, as far as the trials' own curves tell.

    At each rung the best one in eta goes on. After the unit at which a trial was stopped, audited
    trials stand for those that did not run on, each for 1 / share of them.

    Source: Horvitz and Thompson 1952 (weights of one over the probability of being seen).

    Args:
        trials: All trials of a search.
        winner: Its best full run.
        levels: Units of the other rungs, ascending; the last one ends the run.
        eta: One in eta trials passes each rung.
        share: Share of stopped trials that are drawn for the audit.
    """
    left = [t for t in trials if t.status != "failed" and math.isfinite(t.score)]
    cut: int | None = None
    for unit in levels[:-1]:
        left = _passing([t for t in left if math.isfinite(t.score_at(unit))], unit, eta, share)
        if cut is None and winner not in left:
            cut = unit
    done = [t for t in left if t.status == "done"]
    return OtherRungs(eta, levels, cut, max(done, key=lambda t: t.score, default=None))


def _passing(there: list[TrialRecord], unit: int, eta: int, share: float) -> list[TrialRecord]:
    """Return the best one in eta at a rung, by weight; the default always passes."""
    weights = {t.number: 1 / share if 0 < t.audited_at < unit else 1.0 for t in there}
    places = max(1.0, sum(weights.values()) / eta)
    found, before = [], 0.0
    for trial in sorted(there, key=lambda t: -t.score_at(unit)):
        if before < places or trial.is_default:
            found.append(trial)
        before += weights[trial.number]
    return found
