"""The rungs of successive halving: after which units a scheduler decides."""

from __future__ import annotations

import math


def rungs(units: int, eta: int) -> tuple[int, ...]:
    """Return the units 1, eta, eta^2, ... below `units`, and `units`."""
    n_rungs = math.ceil(round(math.log(units, eta), 9))
    return (*(eta**k for k in range(n_rungs)), units)


def units_per_trial(rungs: tuple[int, ...], eta: int) -> float:
    """Return the mean units of a trial where a scheduler lets one in eta pass each rung.

    Args:
        rungs: Units after which it decides, ascending; the last one ends the run.
        eta: At least 2.
    """
    gains = zip(rungs, (0, *rungs), strict=False)
    # A float, so that its powers have a type.
    return sum((rung - before) / float(eta) ** k for k, (rung, before) in enumerate(gains))
