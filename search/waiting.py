"""Nodes that are on their way when a search begins.

What a trial gets is read from the nodes, once. A search that begins before them would read it from
the head alone, and train on the CPU where that has no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from search.cluster.connect import BOOTSTRAP, HEAD, alive_nodes, launched_with
from search.cluster.local_ray import is_private

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
