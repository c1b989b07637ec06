"""Let Ray start nothing more on a node that is about to be taken away.

Ray 2.60 has no public call for that; what its hidden command `ray drain-node` does works: actors
that are there go on, nothing is placed beside them, and with the last of them the node ends.
"""

from __future__ import annotations

from collections.abc import Callable

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]

Drain = Callable[[str, str, float], None]  # Ray's id of a node, why, and when it ends
_PREEMPTION = "DRAIN_NODE_REASON_PREEMPTION"  # the only reason that a busy node accepts


class Drains:
    """Drains nodes, each of them once.

    Args:
        say: Prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._drained: set[str] = set()

    def __call__(self, node: str, reason: str, deadline: float) -> None:
        """Drain a node.

        Where that fails the search goes on: trials that come to be placed there leave again.

        Args:
            node: Ray's id of it, in hex.
            reason: For people.
            deadline: When it is taken away, in seconds since 1970.
        """
        if node in self._drained:
            return
        self._drained.add(node)
        problem = _drain(node, reason, deadline)
        if problem:
            self._say(f"warning: node {node} gets trials until it is gone: {problem}")


def _drain(node: str, reason: str, deadline: float) -> str:
    """Ask Ray to drain a node; returns why it did not, or nothing."""
    try:
        gcs = GcsClient(address=ray.get_runtime_context().gcs_address)
        accepted, problem = gcs.drain_node(
            node, DrainNodeReason.Value(_PREEMPTION), reason, int(1000 * deadline)
        )
    except ray.exceptions.RayError as error:
        return str(error)
    return "" if accepted else problem or "Ray refused"
