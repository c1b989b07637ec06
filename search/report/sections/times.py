"""Where the time of the search's actors went."""

from __future__ import annotations

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
    parts = dict.fromkeys(_PARTS, 0.0)
    for trial in search.trials:
        for unit, metrics in trial.reports.items():
            for key in _PARTS:
                # Each unit repeats the seconds that the trial's start took.
                if key != "start_seconds" or unit == min(trial.reports):
                    parts[key] += metrics.get(key) or 0.0
    seconds = {_PARTS[key]: own for key, own in parts.items()}
    waiting = search.actor_seconds - sum(parts.values())
    seconds["waiting (Ray, driver, start of processes)"] = waiting
    rows = [
        [name, clock(own), f"{own / search.actor_seconds:.1%}"] for name, own in seconds.items()
    ]
    header = ["what", "time, all actors together", "share"]
    return ["## Where the time went", table(header, rows)]
