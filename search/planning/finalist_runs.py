"""How many full runs the finalists of a search may have, beside those of its trials."""

from __future__ import annotations

import math

from search.schedulers.rungs import units_per_trial

_SHARE = 0.25  # of all that a search trains
_SEEDS = 2  # new ones of each, with fewer of which nothing can be shown
_LEAST = 2 * _SEEDS  # of two configurations
_MOST_SEEDS = 10


def finalist_runs(n: int, n_trials: int, levels: tuple[int, ...], eta: int) -> int:
    """Return the full runs that finalists may have together: a quarter of the budget, at least 4.

    Args:
        n: Finalists beside the default; 0 for none.
        n_trials: Trials of the search.
        levels: Units after which a trial may be stopped, ascending; the last one ends a run.
        eta: One in eta trials passes a rung.
    """
    if n == 0:
        return 0
    full_runs = 1 + n_trials * units_per_trial(levels, eta) / levels[-1]
    planned = round(full_runs * _SHARE / (1 - _SHARE))
    return min(max(_LEAST, planned), (n + 1) * _MOST_SEEDS)


def finalist_units(n: int, n_trials: int, levels: tuple[int, ...], eta: int, slots: int) -> int:
    """Return the units that the slot with the most runs of finalists trains, after all trials.

    Args:
        n: Finalists beside the default; 0 for none.
        n_trials: Trials of the search.
        levels: Units after which a trial may be stopped, ascending; the last one ends a run.
        eta: One in eta trials passes a rung.
        slots: Trials at a time.
    """
    runs = finalist_runs(n, n_trials, levels, eta)
    at_a_time = max(1, min(slots, n + 1, runs // _SEEDS))  # the seeds of a round
    return math.ceil(runs / at_a_time) * levels[-1]


def describe_finalists(n: int, runs: int) -> list[str]:
    """Return the line of `--dry-run`; none without finalists.

    Args:
        n: Finalists beside the default.
        runs: Their full runs; 0 where they are chosen later.
    """
    if n == 0:
        return []
    how_many = f"{runs} full runs" if runs else "a quarter of the budget"
    return [
        f"finalists  at most {n} and the default; {how_many} with other seeds, after all trials"
    ]


def more_runs(runs: int) -> str:
    """Return what the first line of a search says of finalists; empty without them."""
    return f", and then {runs} full runs for finalists" if runs else ""
