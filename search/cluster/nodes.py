"""Nodes that come and go while a search runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from search.cluster.local_ray import is_private
from search.cluster.preflight.checks import Preflight
from search.cluster.slots import BOOTSTRAP, HEAD, Resources, alive_nodes, launched_with, room
from search.log.history import Journal
from search.loop.limits import Limits
from search.planning.options import SearchOptions

_LOOK_SECONDS = 3.0


class Nodes:
    """Follows what the nodes of the cluster have room for, and looks at those that join.

    Attributes:
        room: Trials that may run at the same time.

    Args:
        journal: Is told when the room changes.
        options: How many trials may run at a time, if the user said so.
        share: What a trial gets.
        preflight: Looks at nodes.
        limits: Ends the search where trials cannot run on a node.
        say: Prints a line.
    """

    def __init__(
        self,
        journal: Journal,
        options: SearchOptions,
        share: Resources,
        preflight: Preflight,
        limits: Limits,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._options, self._share = journal, options, share
        self._preflight, self._limits, self._say = preflight, limits, say
        self._looked = time.monotonic()
        self.room = share.max_concurrent

    def look(self) -> None:
        """See which nodes there are; called often."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if wrong := self._preflight.look(self._say):
            self._limits.fail(wrong)
        there = room(self._options, self._share, self._journal.history.n_trials)
        if there != self.room:
            self.room = there
            self._journal.write("places", slots=there)


_SECONDS = 900.0  # Ray, torch and CUDA's libraries are gigabytes to install


_STEP_SECONDS = 2.0


def wait_for_nodes(say: Callable[[str], None], seconds: float = _SECONDS) -> None:
    """Wait for nodes that are expected, if there are any.

    Args:
        say: Prints a line.
        seconds: To wait at most; then the search begins with what there is.
    """
    if is_private() or not (missing := _missing()):
        return
    say(f"waiting for {missing}, at most {seconds / 60:g} minutes; `ray status` shows who is there")
    end = time.monotonic() + seconds
    while missing and time.monotonic() < end:
        time.sleep(_STEP_SECONDS)
        missing = _missing()
    if missing:
        say(f"note: waited in vain for {missing}; nodes that come later are used then")


def _missing() -> str:
    """Return what is expected and not there, in words; empty if nothing is."""
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
