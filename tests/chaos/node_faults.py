"""Kill or freeze nodes of a cluster while a search runs on it, and look at what became of it.

    python tests/chaos/node_faults.py [--faults kill freeze kill] [--seed 0]

Several raylets on this machine with pretended GPUs; trials are stubs that take --seconds for a
unit. After each fault a new node replaces the lost one. A frozen node is still there and
does not answer: it is given up by Ray's health checks, with the settings of cluster.yaml. Prints a
table; exits with 1 if anything is wrong.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import tyro

from tests.chaos.clusters import Nodes
from tests.chaos.drivers import Search
from tests.chaos.verify import figures, orphans, replay


@dataclass(frozen=True)
class Options:
    """Kill or freeze nodes."""

    faults: tuple[Literal["kill", "freeze"], ...] = ("kill", "freeze", "kill", "freeze", "kill")
    """What happens to nodes, one after the other."""

    seed: int = 0
    """Of the search, and of the moments."""

    nodes: int = 2
    """At a time."""

    gpus: int = 2
    """Pretended ones of a node."""

    gpus_per_trial: float = 1.0
    """Part of a GPU that a trial takes."""

    trials: int = 60
    """Trials of the search."""

    seconds: float = 0.5
    """Of a unit."""

    folder: Path | None = None
    """Where to keep everything; by default nothing is kept."""


@dataclass(frozen=True)
class Fault:
    """What a fault did.

    Attributes:
        kind: What happened to a node.
        trials: That trained on it.
        seconds: Until the last of them trained again elsewhere.
    """

    kind: str
    trials: list[int]
    seconds: float


def main(options: Options) -> int:
    """Run the search; returns the exit status."""
    with tempfile.TemporaryDirectory() as temporary, Nodes() as nodes:
        there = [nodes.add(options.gpus) for _ in range(options.nodes)]
        search = search_of(options, options.folder or Path(temporary), nodes.address)
        faults = strike(options, search, nodes, there)
        found = figures(search.events, search.units)
        wrong = replay(search.events, search.plan())
        lines = [
            f"fault {fault.kind:6} of a node with trials {fault.trials}: "
            f"{fault.seconds:.1f} s until they trained again"
            for fault in faults
        ]
        lines += [
            f"trials                       {found.trials}",
            f"trials lost                  {found.lost}",
            f"trials suggested twice       {found.suggested_twice}",
            f"slots held twice at once     {found.overlapping}",
            f"units trained again          {found.repeated} of {found.units}",
            f"  of one trial at one start  {found.most_repeated} at most",
            f"checkpoints nobody knows of  {orphans(search.events, search.results)}",
            f"same decisions, by replay in log order: {'NO' if wrong else 'yes'}",
        ]
        print("\n".join([*lines, *wrong[:10]]))
    return 0 if found.is_good and not wrong else 1


def search_of(options: Options, folder: Path, address: str) -> Search:
    """Return a search that fills all nodes."""
    arguments = [
        *("--space", "heads", "--budget", "60000", "--units", "9", "--eta", "3"),
        *("--trials", str(options.trials), "--seed", str(options.seed), "--quiet"),
        *("--gpus-per-trial", str(options.gpus_per_trial), "--address", address),
    ]
    return Search(folder, arguments, seconds=options.seconds)


def strike(options: Options, search: Search, nodes: Nodes, there: list[Any]) -> list[Fault]:
    """Run the search, with its faults."""
    draw, driver, faults = random.Random(options.seed), search.start(), []
    for kind in options.faults:
        n_lines = len(search.units) + draw.randint(10, 40)
        if not search.wait_for(driver, lambda n=n_lines: len(search.units) >= n):  # type: ignore[misc]
            break  # the search was done before
        busy: dict[int, list[int]] = {}
        while not busy and driver.is_alive():
            on = {k: trials_on(search, nodes, node) for k, node in enumerate(there)}
            busy = {k: trials for k, trials in on.items() if trials}
        if not busy:
            break
        chosen = draw.choice(sorted(busy))
        node, hit, struck = there.pop(chosen), busy[chosen], time.time()
        (nodes.kill if kind == "kill" else nodes.freeze)(node)
        there.append(nodes.add(options.gpus))
        search.wait_for(driver, lambda h=hit, s=struck: not silent(search, h, s))  # type: ignore[misc]
        faults.append(Fault(kind, hit, time.time() - struck))
        print(f"{faults[-1]}", flush=True)
    driver.join()
    if driver.exitcode != 0:
        print(f"the driver exited with {driver.exitcode}:\n{search.printed[-3000:]}")
    return faults


def trials_on(search: Search, nodes: Nodes, node: Any) -> list[int]:
    """Return the trials that train on a node."""
    processes, last = nodes.processes(node), {line["trial"]: line for line in search.units}
    on = [t for t, line in last.items() if line["what"] == "begun" and line["pid"] in processes]
    return [trial for trial in on if is_open(search, trial)]


def is_open(search: Search, number: int) -> bool:
    """Whether a trial holds a slot, as far as the log knows."""
    of_trial = [e["event"] for e in search.events if e.get("trial") == number]
    begun = max(k for k, kind in enumerate(of_trial) if kind in ("suggested", "started"))
    return not {"paused", "ended"} & set(of_trial[begun:])


def silent(search: Search, trials: list[int], since: float) -> list[int]:
    """Return those of the trials that hold a lost slot: neither started anew, nor given up.

    One whose report came before the fault may be paused or over: it needs no other slot.
    """
    started = {e["trial"] for e in search.events if e["event"] == "started" and e["time"] > since}
    return [trial for trial in trials if trial not in started and is_open(search, trial)]


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
