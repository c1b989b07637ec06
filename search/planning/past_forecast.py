"""How good a forecast was, once its search is over."""

from __future__ import annotations

from search.log.history import History
from search.planning.amounts import span


def how_good(history: History) -> str:
    """Return what the last driver forecast at the start, and what it took; often nothing.

    There is nothing to say where it made no forecast, or where it was ended before its trials were
    over: the forecast was of all of them.
    """
    forecast, closed = history.forecast, history.closed
    if forecast is None or closed is None or history.n_over < history.n_trials:
        return ""
    low, high = (forecast["elapsed"] + own for own in forecast["seconds"])
    took = forecast["elapsed"] + closed["time"] - forecast["time"]
    missed = "" if low <= took <= high else ", outside the 80 % interval"
    return f"forecast at the start: {span(low, high)}; it took {_alike(took, high)}{missed}"


def _alike(took: float, high: float) -> str:
    """Return a time in the unit of a forecast, so that the two are easily compared."""
    unit = span(high, high).rpartition(" ")[2]
    length, digits = {"s": (1, 0), "min": (60, 0), "h": (3600, 1)}[unit]
    return f"{took / length:.{digits}f} {unit}"
