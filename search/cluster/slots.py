"""How many CPUs and GPUs each trial has, and how many trials run on the nodes at a time."""

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
_PARTS = 10_000  # Ray counts resources in ten-thousandths
_STARTING = "those that are starting count once `ray status` shows them"


@dataclass(frozen=True)
class Resources:
    """CPUs and GPUs of one trial, and how many trials run at a time.

    Attributes:
        cpus: CPU cores, above 0.
        gpus: GPUs, from 0 to 1.
        max_concurrent: Trials that run at the same time when the search begins, at least 1.
    """

    cpus: float
    gpus: float
    max_concurrent: int


def alive_nodes() -> list[dict[str, Any]]:
    """Return Ray's description of each node that is alive."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def resolve_resources(options: SearchOptions, n_trials: int) -> Resources:
    """Return the resources of each trial, which a node has or will have once it is launched.

    Args:
        options: --cpus-per-trial and --gpus-per-trial; where one is not given, the nodes decide.
        n_trials: Trials of the search; no more of them run at a time.

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
    resources = Resources(cpus, gpus, 1)
    if not any(n_slots(node, resources) for node in nodes):
        raise InputError(
            f"--cpus-per-trial {cpus:g} and --gpus-per-trial {gpus:g}: no node has both; ask for "
            f"less, or add nodes that have them ({_STARTING})"
        )
    return replace(resources, max_concurrent=n_concurrent(options, resources, n_trials))


def n_concurrent(options: SearchOptions, resources: Resources, n_trials: int) -> int:
    """Return how many trials may run at a time on the present nodes.

    Args:
        options: --max-concurrent is taken as given, since it may count on nodes that come later.
        resources: Of one trial.
        n_trials: Trials of the search.

    Returns:
        At least 1: where no node is left, a trial waits for one, and the watchdog notices that.
    """
    present = sum(n_slots(node, resources) for node in _nodes())
    return min(options.max_concurrent or max(1, present), n_trials)


def n_slots(node: Mapping[str, float], resources: Resources) -> int:
    """Return how many trials fit on a node.

    A trial never spans two GPUs: trials of 0.4 GPUs fit twice on one GPU, and eight times on four.

    Args:
        node: Ray's resources of the node, such as `{"CPU": 48.0, "GPU": 4.0}`.
        resources: Of one trial.
    """
    by_cpu = _fit(node.get("CPU", 0.0), resources.cpus)
    return min(by_cpu, _n_slots_by_gpu(node, resources.gpus)) if resources.gpus else by_cpu


def _n_slots_by_gpu(node: Mapping[str, float], gpus: float) -> int:
    return int(node.get("GPU", 0.0)) * _fit(1.0, gpus)


def _fit(whole: float, part: float) -> int:
    return int(whole / part + 1e-9)


def _cpus_in_proportion(nodes: Sequence[Mapping[str, float]], gpus: float) -> float:
    """Return the CPUs of a trial, such that CPUs and GPUs of a node are used up together.

    It is a whole number unless a node has fewer CPUs than slots: whoever asks for eight trials on
    a GPU gets eight, of one thread each.
    """
    per_slot = [
        node["CPU"] / _n_slots_by_gpu(node, gpus)
        for node in nodes
        if gpus and node.get("CPU") and _n_slots_by_gpu(node, gpus)
    ]
    least = min(per_slot, default=1.0)
    return float(int(least)) if least >= 1 else math.floor(least * _PARTS) / _PARTS


def any_node_fits(resources: Resources) -> bool:
    """Return whether a node that is alive, or that `ray up` may still launch, can run a trial."""
    return any(n_slots(node, resources) for node in _nodes())


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each node that is alive or that `ray up` may still launch."""
    alive = [node["Resources"] for node in alive_nodes()]
    return alive if is_private() else [*alive, *_launchable(alive)]


def launched_with() -> dict[str, Any] | None:
    """Return the configuration of `ray up`; None unless this machine is the head of it."""
    path = Path(BOOTSTRAP).expanduser()
    return _parsed(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=1)  # YAML is slow to read, and a search asks every few seconds
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def _launchable(alive: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Return the resources of workers that `ray up` may still launch; only its head knows them."""
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
