"""Configurations near a given one, for measuring how smooth a landscape is."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from search.searchers.base import Params, draw_params
from spaces.params import Param
from tests.benchmarks.curve import scaled
from trainable.component import Choice, IntRange, Value

_WIDTHS, _N_CHANGED = (0.03, 0.1, 0.3), (0, 1, 2)


def neighbour(params: tuple[Param, ...], values: Params, number: int) -> Params:
    """Return a configuration near another one, always the same for the same arguments.

    Nine successive numbers have all pairs of: numeric values move by 0.03, 0.1 or 0.3 of their
    ranges, and none, one or two choices change.

    Args:
        params: All params of the space, parents before their children.
        values: The configuration to start from.
        number: Its number, which also seeds the draws.
    """
    width, n_changed = _WIDTHS[number % 3], _N_CHANGED[number // 3 % 3]
    return moved(params, values, width, n_changed, random.Random(f"neighbour {number}"))


def moved(
    params: tuple[Param, ...], values: Params, width: float, n_changed: int, draw: random.Random
) -> Params:
    """Return a configuration near another one.

    Args:
        params: All params of the space, parents before their children.
        values: The configuration to start from.
        width: Standard deviation of the moves of numeric values, as a fraction of their ranges.
        n_changed: Number of choices that get another value. Params that exist only under the new
            value are drawn at random.
        draw: Generator of all random numbers.
    """
    choices = [p.name for p in params if p.name in values and len(_others(p, values[p.name])) > 0]
    changed = set(draw.sample(choices, min(n_changed, len(choices))))
    found: Params = {}
    for param in params:
        if not param.exists_in(found):
            continue
        old = values.get(param.name)
        if old is None:
            found |= draw_params([replace(param, parents=())], draw)
        elif param.name in changed:
            found[param.name] = draw.choice(_others(param, old))
        elif isinstance(param.domain, Choice):
            found[param.name] = old
        else:
            position = scaled(param, old) + draw.gauss(0.0, width)
            found[param.name] = _number(param, min(max(position, 0.0), 1.0))
    return found


def _others(param: Param, value: Value) -> list[Value]:
    values = param.domain.values if isinstance(param.domain, Choice) else ()
    return [other for other in values if other != value]


def _number(param: Param, position: float) -> Value:
    """Return the number at a position in [0, 1] of a range; the inverse of `scaled`."""
    domain = param.domain
    assert not isinstance(domain, Choice)
    if isinstance(domain, IntRange):
        return round(domain.low + position * (domain.high - domain.low))
    if domain.log:
        found = domain.low * math.exp(position * math.log(domain.high / domain.low))
    else:
        found = domain.low + position * (domain.high - domain.low)
    return min(max(found, domain.low), domain.high)  # rounding may leave the range
