"""Record what becomes of configurations near the recorded ones: how smooth the landscape is.

    python tests/benchmarks/record_near.py --log runs/recorded/events.jsonl --out OUT

Every recorded configuration gets a neighbour: each number moves by a normal step of 0.03, 0.1 or
0.3 of its range, and none, one or two choices change. The neighbour is run to its end, with a seed
that no recorded run had. The log is that of the recorded search (record.py): it gives data, encoder
and budget. Runs that OUT holds are not run again; neighbours whose run failed are left out.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import tyro
from optuna.trial import FixedTrial

from search.events import read_events
from search.history import History
from search.proposals import draw_params, exists
from spaces.catalogue import make_space
from spaces.space import Space
from spaces.walk import Param, Value
from tests.benchmarks.curve import Params, scaled
from tests.benchmarks.record import run_missing
from tests.benchmarks.recorded import NEAR, RECORDED, read_table, write_table
from trainable.component import Choice, IntRange

_WIDTHS, _N_CHANGED = (0.03, 0.1, 0.3), (0, 1, 2)


@dataclass(frozen=True)
class Options:
    """Train a neighbour of every recorded configuration, and write the table of them."""

    log: Path
    """Event log of the recorded search."""

    out: Path
    """Where runs are kept, one file for each."""

    seed: int = 2
    """Seed of the runs; another than those of the recorded ones."""

    jobs: int = os.cpu_count() or 1
    """Runs at the same time, each on one core."""

    recorded: Path = RECORDED
    """The table of the recorded runs."""

    table: Path = NEAR
    """The table to write."""


class Neighbour(NamedTuple):
    """A configuration near a recorded one.

    Attributes:
        of: Place of that one in the table of recorded curves.
        params: Its own.
    """

    of: int
    params: Params


def neighbours(space: Space, recorded: list[dict[str, Any]]) -> Iterator[Neighbour]:
    """Yield a neighbour of every recorded configuration, the same whenever asked for."""
    for k, trial in enumerate(recorded):
        width, n_changed = _WIDTHS[k % 3], _N_CHANGED[k // 3 % 3]
        draw = random.Random(f"neighbour {k}")
        yield Neighbour(k, moved(space.params(), trial["params"], width, n_changed, draw))


def moved(
    params: tuple[Param, ...], values: Params, width: float, n_changed: int, draw: random.Random
) -> Params:
    """Return a configuration near another.

    Args:
        params: Of the space, parents before their children.
        values: Of the other configuration.
        width: Standard deviation of the moves of all numbers, in ranges.
        n_changed: Choices that get another value. What exists only then is drawn.
        draw: Of all this.
    """
    choices = [p.name for p in params if p.name in values and len(_others(p, values[p.name])) > 0]
    changed = set(draw.sample(choices, min(n_changed, len(choices))))
    found: Params = {}
    for param in params:
        if not exists(param, found):
            continue
        old = values.get(param.name)
        if old is None:
            found |= draw_params([replace(param, parents=())], draw)
        elif param.name in changed:
            found[param.name] = draw.choice(_others(param, old))
        elif isinstance(param.domain, Choice):
            found[param.name] = old
        else:
            share = scaled(param, old) + draw.gauss(0.0, width)
            found[param.name] = _number(param, min(max(share, 0.0), 1.0))
    return found


def _others(param: Param, value: Value) -> list[Value]:
    values = param.domain.values if isinstance(param.domain, Choice) else ()
    return [other for other in values if other != value]


def _number(param: Param, share: float) -> Value:
    """Return the number at a share of a range, on the range's own scale."""
    domain = param.domain
    assert not isinstance(domain, Choice)
    if isinstance(domain, IntRange):
        return round(domain.low + share * (domain.high - domain.low))
    if domain.log:
        found = domain.low * math.exp(share * math.log(domain.high / domain.low))
    else:
        found = domain.low + share * (domain.high - domain.low)
    return min(max(found, domain.low), domain.high)  # rounding


def main(options: Options) -> None:
    """Run what is missing, and write the table."""
    base = next(iter(History(read_events(options.log)).trials.values())).config
    if base.seed == options.seed:
        sys.exit(f"--seed {options.seed} is that of the search; give another")
    space = make_space("full", base.model_copy(update={"seed": options.seed}))
    found = list(neighbours(space, read_table(options.recorded)))
    files = [options.out / f"near_{near.of}.json" for near in found]
    configs = [space.suggest(FixedTrial(near.params)) for near in found]
    run_missing(dict(zip(files, configs, strict=True)), options.jobs)
    rows = []
    for near, file in zip(found, files, strict=True):
        run = json.loads(file.read_text(encoding="utf-8"))
        if "failure" not in run:
            rows.append({"of": near.of, "params": near.params, **run})
    write_table(options.table, rows)
    print(f"{len(rows)} runs to {options.table}; {len(found) - len(rows)} failed")


if __name__ == "__main__":
    main(tyro.cli(Options))
