"""What one trial gets of a node, and how many trials the nodes have room for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
import yaml

from search.cluster.local_ray import is_private
from search.planning.options import SearchOptions
from trainable.errors import InputError

HEAD = "node:__internal_head__"  # a resource of the head node


BOOTSTRAP = "~/ray_bootstrap_config.yaml"  # `ray up` leaves it on the head


_KINDS = ("CPU", "GPU")


_PARTS = 10_000  # of a resource, as Ray counts


_STARTING = "those that are starting count once `ray status` shows them"


@dataclass(frozen=True)
class Resources:
    """What a trial gets, and how many run at a time.

    Attributes:
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial, at most 1.
        max_concurrent: Trials at the same time when the search begins, at least 1.
    """

    cpus: float
    gpus: float
    max_concurrent: int


def alive_nodes() -> list[dict[str, Any]]:
    """Return what Ray says of the nodes that are there."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def resources(options: SearchOptions, n_trials: int) -> Resources:
    """Resolve what a trial gets against what nodes have, or will have once they are launched.

    Args:
        options: What the user asked for.
        n_trials: Trials of the search: no more of them run at a time.

    Raises:
        InputError: No node can serve a trial.
    """
    nodes = _nodes()
    most = {kind: max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in _KINDS}
    gpus = options.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most["GPU"] else 0.0
    cpus = options.cpus_per_trial
    if cpus is None:
        cpus = _cpus_in_proportion(nodes, gpus)
    for kind, amount in zip(_KINDS, (cpus, gpus), strict=True):
        if amount > most[kind]:
            raise InputError(
                f"--{kind.lower()}s-per-trial {amount:g}: no node has more than {most[kind]:g} "
                f"{kind}s; ask for less, or add nodes that have them ({_STARTING})"
            )
    share = Resources(cpus, gpus, 1)
    if not any(places(node, share) for node in nodes):
        raise InputError(
            f"--cpus-per-trial {cpus:g} and --gpus-per-trial {gpus:g}: no node has both; ask for "
            f"less, or add nodes that have them ({_STARTING})"
        )
    return replace(share, max_concurrent=room(options, share, n_trials))


def room(options: SearchOptions, share: Resources, n_trials: int) -> int:
    """Return how many trials may run at a time on the nodes that there are now.

    Args:
        options: --max-concurrent is taken as given: it may count on nodes that are yet unknown.
        share: What a trial gets.
        n_trials: Trials of the search.

    Returns:
        At least 1: where no node is left, a trial has to wait for one, so that it is noticed.
    """
    there = sum(places(node, share) for node in _nodes())
    return min(options.max_concurrent or max(1, there), n_trials)


def places(node: Mapping[str, float], share: Resources) -> int:
    """Return how many trials a node with these resources has room for.

    A share of a GPU is of one GPU: of trials that get 0.4 each two fit, and on four GPUs eight.
    """
    by_cpu = _fit(node.get("CPU", 0.0), share.cpus)
    return min(by_cpu, _places_by_gpu(node, share.gpus)) if share.gpus else by_cpu


def _places_by_gpu(node: Mapping[str, float], gpus: float) -> int:
    return int(node.get("GPU", 0.0)) * _fit(1.0, gpus)


def _fit(whole: float, part: float) -> int:
    return int(whole / part + 1e-9)


def _cpus_in_proportion(nodes: Sequence[Mapping[str, float]], gpus: float) -> float:
    """Return the CPUs of a trial so that a node's last as long as its GPUs.

    Whole ones, unless a node has fewer CPUs than places: who asks for eight trials on a GPU gets
    eight, of one thread each.
    """
    shares = [
        node["CPU"] / _places_by_gpu(node, gpus)
        for node in nodes
        if gpus and node.get("CPU") and _places_by_gpu(node, gpus)
    ]
    least = min(shares, default=1.0)
    return float(int(least)) if least >= 1 else math.floor(least * _PARTS) / _PARTS


def servable(share: Resources) -> bool:
    """Whether a node that is alive, or that `ray up` may still launch, could serve a trial."""
    return any(places(node, share) for node in _nodes())


def _nodes() -> list[dict[str, float]]:
    """Return the resources of nodes that are alive, or may still be launched."""
    alive = [node["Resources"] for node in alive_nodes()]
    return alive if is_private() else [*alive, *_launchable(alive)]


def launched_with() -> dict[str, Any] | None:
    """Return the cluster's configuration; None but on the head of a cluster that `ray up` made."""
    path = Path(BOOTSTRAP).expanduser()
    return _parsed(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=1)  # YAML is slow to read, and a search asks every few seconds
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def _launchable(alive: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Resources of workers that `ray up` may still launch; known on the head node only."""
    config = launched_with()
    if config is None:
        return []
    most = int(config["max_workers"])
    found: list[dict[str, float]] = []
    for name, node_type in config["available_node_types"].items():
        if name != config["head_node_type"]:
            found += [node_type.get("resources", {})] * int(node_type.get("max_workers", most))
    workers = [node for node in alive if HEAD not in node]
    for worker in workers:
        launched = [n for n in found if all(n.get(k, 0) == worker.get(k, 0) for k in _KINDS)]
        if launched:
            found.remove(launched[0])
    # Where the types together are more than may run, the largest stand for all.
    found.sort(key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), reverse=True)
    return found[: max(0, most - len(workers))]
