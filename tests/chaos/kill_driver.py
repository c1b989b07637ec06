"""Kill the driver of a search at random moments, let it go on, and look at what became of it.

    python tests/chaos/kill_driver.py [--kills 50] [--seed 0] [--slots 1] [--trials 100]

The driver, Ray and the event log are real; trials are stubs that take --seconds for a unit. With
one slot the log must be equal to that of a search that nobody interrupted, which runs first. With
more slots a searcher and a scheduler that were never interrupted hear what the log reports, in the
order of the log, and must decide the same. Prints a table; exits with 1 if anything is wrong.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import tyro

from tests.chaos.clusters import Nodes
from tests.chaos.drivers import Search
from tests.chaos.stub import UNITS_FILE
from tests.chaos.verify import Figures, differences, figures, orphans, replay


@dataclass(frozen=True)
class Options:
    """Kill drivers."""

    kills: int = 50
    """How often; fewer if the search is done before."""

    seed: int = 0
    """Of the search, and of the moments."""

    slots: int = 1
    """Trials at a time."""

    trials: int = 100
    """Trials of the search."""

    seconds: float = 0.1
    """Of a unit."""

    folder: Path | None = None
    """Where to keep everything; by default nothing is kept."""


def main(options: Options) -> int:
    """Run both searches; returns the exit status."""
    with tempfile.TemporaryDirectory() as temporary, Nodes(head_cpus=options.slots) as nodes:
        folder = options.folder or Path(temporary)
        search, kills, seconds = killed(options, folder / "killed", nodes.address)
        expected = None
        if options.slots == 1:
            whole = search_of(options, folder / "whole", nodes.address)
            whole.run()
            expected = whole.events
        found = figures(search.events, search.units)
        wrong = replay(search.events, search.plan())
        if expected is not None:
            wrong += differences(expected, search.events)
        print(table(options, kills, seconds, found, wrong, search, equal=expected is not None))
    return 0 if found.is_good and not wrong else 1


def search_of(options: Options, folder: Path, address: str) -> Search:
    """Return the search that both are."""
    arguments = [
        *("--space", "heads", "--budget", "60000", "--units", "9", "--eta", "3"),
        *("--trials", str(options.trials), "--seed", str(options.seed), "--quiet"),
        *("--max-concurrent", str(options.slots), "--address", address),
    ]
    return Search(folder, arguments, seconds=options.seconds, failing=0.05, unknown=0.05)


def killed(options: Options, folder: Path, address: str) -> tuple[Search, list[str], float]:
    """Run the search that is killed; returns it, the event before each kill, and the seconds."""
    search, draw = search_of(options, folder, address), random.Random(options.seed)
    moments: list[str] = []
    started = time.monotonic()
    while len(moments) < options.kills and search.kill_at_random(draw):
        events, n_units = (
            search.events,
            (search.folder / UNITS_FILE).exists() and len(search.units),
        )
        moments.append(events[-1]["event"])
        print(
            f"kill {len(moments)} after {time.monotonic() - started:.0f} s: {len(events)} events, "
            f"{n_units or 0} lines of stubs, the last event is {moments[-1]!r}",
            flush=True,
        )
    status = search.run()
    if status != 0:
        print(f"the last driver exited with {status}:\n{search.printed[-3000:]}")
    return search, moments, time.monotonic() - started


def table(
    options: Options,
    moments: list[str],
    seconds: float,
    found: Figures,
    wrong: list[str],
    search: Search,
    *,
    equal: bool,
) -> str:
    """Return the figures as text."""
    last = ", ".join(f"{event} {n}" for event, n in Counter(moments).most_common())
    how = "and the same log as an uninterrupted search" if equal else "by replay in log order"
    lines = [
        f"kills of the driver            {len(moments)} (seed {options.seed})",
        f"last event before the kill     {last}",
        f"trials at a time               {options.slots}",
        f"trials                         {found.trials}",
        f"events in the log              {len(search.events)}",
        f"trials lost                    {found.lost}",
        f"trials suggested twice         {found.suggested_twice}",
        f"slots held twice at once       {found.overlapping}",
        f"units trained again            {found.repeated} of {found.units}",
        f"  of one trial after one kill  {found.most_repeated} at most",
        f"checkpoints nobody knows of    {orphans(search.events, search.results)}",
        f"same decisions, {how}: {'NO' if wrong else 'yes'}",
        f"seconds                        {seconds:.0f}",
    ]
    return "\n".join([*lines, *wrong[:10]])


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
