"""Nodes that come and go while a search runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from search.cluster.local_ray import is_private
from search.cluster.preflight.checks import Preflight
from search.cluster.slots import (
    BOOTSTRAP,
    HEAD,
    Resources,
    alive_nodes,
    launched_with,
    n_concurrent,
)
from search.log.history import Journal
from search.loop.limits import Limits
from search.planning.options import SearchOptions

_LOOK_SECONDS = 3.0
_WAIT_SECONDS = 900.0  # Ray, torch and CUDA's libraries are gigabytes to install
_POLL_SECONDS = 2.0


class Nodes:
    """Follows how many trials the nodes can run at a time, and checks nodes that join.

    Attributes:
        n_concurrent: Trials that may run at the same time.

    Args:
        journal: Records each change of `n_concurrent`.
        options: --max-concurrent fixes that number.
        resources: Of one trial.
        preflight: Checks each node that joins.
        limits: Ends the search where trials cannot run on a node.
        say: Prints a line.
    """

    def __init__(
        self,
        journal: Journal,
        options: SearchOptions,
        resources: Resources,
        preflight: Preflight,
        limits: Limits,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._options, self._resources = journal, options, resources
        self._preflight, self._limits, self._say = preflight, limits, say
        self._looked = time.monotonic()
        self.n_concurrent = resources.max_concurrent

    def look(self) -> None:
        """Look at the nodes, every few seconds at most; called after every event of Tune's loop."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if wrong := self._preflight.look(self._say):
            self._limits.fail(wrong)
        possible = n_concurrent(self._options, self._resources, self._journal.history.n_trials)
        if possible != self.n_concurrent:
            self.n_concurrent = possible
            self._journal.write("places", slots=possible)


def wait_for_nodes(say: Callable[[str], None], seconds: float = _WAIT_SECONDS) -> None:
    """Wait for the nodes that the cluster is configured to have.

    Args:
        say: Prints a line.
        seconds: At most; then the search begins with the nodes that are there.
    """
    if is_private() or not (missing := _missing()):
        return
    say(f"waiting for {missing}, at most {seconds / 60:g} minutes; `ray status` shows who is there")
    end = time.monotonic() + seconds
    while missing and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        missing = _missing()
    if missing:
        say(f"note: waited in vain for {missing}; nodes that come later are used then")


def _missing() -> str:
    """Return which nodes are missing, in words; an empty string if none is."""
    alive = [node["Resources"] for node in alive_nodes()]
    config = launched_with()
    if config is None:
        # A head without CPUs is one of a cluster that has workers, on Kubernetes for example.
        return "" if any(node.get("CPU") for node in alive) else "a first node that takes trials"
    # Types whose resources are written down count before their nodes are there.
    types = config["available_node_types"].values()
    expected = sum(int(t.get("min_workers", 0)) for t in types if not t.get("resources"))
    there = sum(HEAD not in node for node in alive)
    return (
        f"{expected} workers, of which {there} are there ({BOOTSTRAP})" if there < expected else ""
    )
