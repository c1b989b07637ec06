"""Where the time of the search's actors went."""

from __future__ import annotations

from collections.abc import Sequence

from search.log.trial import TrialRecord
from search.planning.amounts import clock
from search.report.markdown import table
from search.report.sections.base import FinishedSearch

_PARTS = {  # seconds that a unit reports -> what they were spent on
    "train_seconds": "training",
    "eval_seconds": "evaluation",
    "start_seconds": "switching (starting a trial's run in its actor)",
    "save_seconds": "writing checkpoints",
}


def times(search: FinishedSearch) -> list[str]:
    """Return a table of the actors' seconds by what they did; the rest is waiting."""
    rows = time_rows(search.history.runs, search.logged.slot_seconds)
    header = ["what", "time, all actors together", "share"]
    return ["## Where the time went", table(header, rows)]


def time_rows(trials: Sequence[TrialRecord], slot_seconds: float) -> list[tuple[str, str, str]]:
    """Return what the actors did, for how long, and the share; none before there were any.

    Args:
        trials: All trials, and runs of finalists.
        slot_seconds: Seconds for which slots for trials existed, busy or not.
    """
    parts = dict.fromkeys(_PARTS, 0.0)
    for trial in trials:
        first = min(trial.reports, default=0)
        for unit, metrics in trial.reports.items():
            for key in _PARTS:
                # Each unit repeats the seconds that the trial's start took.
                if key != "start_seconds" or unit == first:
                    parts[key] += metrics.get(key) or 0.0
    seconds = {_PARTS[key]: own for key, own in parts.items()}
    waiting = slot_seconds - sum(parts.values())
    seconds["waiting (Ray, driver, start of processes)"] = waiting
    if slot_seconds <= 0:
        return []
    return [(name, clock(own), f"{own / slot_seconds:.1%}") for name, own in seconds.items()]
