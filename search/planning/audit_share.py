"""Which share of the trials that a rung stops is run on to the end, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.planning.own_space import ROW_SPACES

USUAL_SHARE = 0.05
LEAST_TRIALS = 100  # of fewer an audit would say next to nothing, and cost a seventh more training


def audit_share(options: Mapping[str, Any]) -> float:
    """Return the share of stopped trials that run on, from 0 to 1.

    Args:
        options: Those of the search, as the first line of its log has them. Older logs do not have
            this one: their searches go on without an audit.
    """
    if options.get("space") in ROW_SPACES:  # each row is there to be looked at by itself
        return 0.0
    share = options.get("audit", 0.0)
    if share is None:
        return USUAL_SHARE if (options.get("trials") or 0) >= LEAST_TRIALS else 0.0
    return float(share)


def audit_units(levels: Sequence[int], eta: int, share: float) -> float:
    """Return the units that an audit adds for each trial, on average.

    Args:
        levels: Units after which a scheduler decides, ascending; the last one ends the run.
        eta: One in eta trials passes each rung.
        share: Share of stopped trials that run on.
    """
    units = levels[-1]
    stopped = (float(eta) ** -k * (1 - 1 / eta) for k in range(len(levels) - 1))
    return share * sum(own * (units - unit) for own, unit in zip(stopped, levels, strict=False))
