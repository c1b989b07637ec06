"""The rungs of successive halving: the units after which a scheduler decides."""

from __future__ import annotations

from itertools import count, takewhile


def rungs(units: int, eta: int) -> tuple[int, ...]:
    """Return the units 1, eta, eta^2, ... below `units`, and then `units` itself.

    Args:
        units: Units of a full run, at least 1.
        eta: At least 2.
    """
    return (*takewhile(lambda unit: unit < units, (eta**k for k in count())), units)


def units_per_trial(rungs: tuple[int, ...], eta: int) -> float:
    """Return the mean number of units of a trial if one in eta trials passes each rung.

    Args:
        rungs: Units after which a scheduler decides, ascending; the last one ends the run.
        eta: At least 2.
    """
    gains = zip(rungs, (0, *rungs), strict=False)
    # mypy knows the type of a power only for floats.
    return sum((rung - before) / float(eta) ** k for k, (rung, before) in enumerate(gains))
