"""Several Ray nodes on one machine, with pretended GPUs, that may be killed or frozen."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ray.cluster_utils import Cluster

_ROOT = Path(__file__).resolve().parents[2]
_OBJECT_STORE_BYTES = 80_000_000
# As in cluster.yaml: a node that does not answer is given up after 12 s instead of 65.
_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}


class Nodes:
    """A Ray cluster; the head node serves trials only if it is given CPUs.

    Args:
        head_cpus: CPUs of the head node.
    """

    def __init__(self, head_cpus: int = 0) -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ["PYTHONPATH"] = str(_ROOT)
        head: dict[str, Any] = {"num_cpus": head_cpus, "num_gpus": 0, "include_dashboard": False}
        head |= {"object_store_memory": _OBJECT_STORE_BYTES, "_system_config": _HEALTH_CHECKS}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._frozen: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._frozen:
            _send(process, signal.SIGKILL)
        self._cluster.shutdown()  # type: ignore[no-untyped-call]

    def add(self, gpus: int, **more: Any) -> Any:
        """Add a node with so many CPUs and pretended GPUs; `more` is as in `ray.init`."""
        node = {"num_cpus": gpus, "num_gpus": gpus, "object_store_memory": _OBJECT_STORE_BYTES}
        return self._cluster.add_node(**node | more)

    def kill(self, node: Any) -> None:
        """Kill all processes of a node."""
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        """Kill all processes of the head node, which ends the cluster."""
        head: Any = self._cluster.head_node
        self._cluster.remove_node(head, allow_graceful=False)

    def freeze(self, node: Any) -> None:
        """Stop all processes of a node where they are: it still is there, and does not answer."""
        processes = self.processes(node)
        self._frozen += processes
        for process in processes:
            _send(process, signal.SIGSTOP)

    def processes(self, node: Any) -> list[int]:
        """Return the raylet of a node, its workers, and what else it has started."""
        raylet = int(node.all_processes["raylet"][0].process.pid)
        return [raylet, *children(raylet)]


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def children(process: int) -> list[int]:
    """Return all processes below one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) == process:
                found += [int(entry.name), *children(int(entry.name))]
    return found
