"""Connect to Ray, and check that the cluster can serve a trial."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import ray
import yaml

from search.options import SearchOptions
from trainable.errors import InputError

# Tune moves little through the object store; Ray's default would take 30 % of the memory.
_OBJECT_STORE_BYTES = 200_000_000
# Marks the local Ray of one search: another must not join it, since it ends with that search.
_PRIVATE = "private_to_one_search"


@dataclass(frozen=True)
class Resources:
    """What a trial gets, and how many run at a time.

    Attributes:
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial, at most 1.
        max_concurrent: Trials at the same time, at least 1.
    """

    cpus: float
    gpus: float
    max_concurrent: int


def connect(address: str | None) -> str:
    """Connect to a cluster, or start a local Ray; returns which, for people.

    Raises:
        InputError: A cluster was named and does not answer.
    """
    # Ray's coming default; without it Ray prints a notice about trials without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    named = address or os.environ.get("RAY_ADDRESS")
    if named != "local":
        try:
            ray.init(address=named or "auto", log_to_driver=False, logging_level=logging.ERROR)
            shared = ray.cluster_resources()  # type: ignore[no-untyped-call]
            if named or _PRIVATE not in shared:
                return f"the cluster at {ray.get_runtime_context().gcs_address}"
            ray.shutdown()
        except ConnectionError as error:
            if named:
                raise InputError(
                    f"no Ray cluster answers at {named!r} ({error}); start one with `ray up "
                    f"cluster.yaml`, or drop --address and RAY_ADDRESS for a local Ray"
                ) from error
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        resources={_PRIVATE: 1.0},
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return "a local Ray on this machine"


def resources(options: SearchOptions, n_trials: int) -> Resources:
    """Resolve what a trial gets against what nodes have, or will have once they are launched.

    Args:
        options: What the user asked for.
        n_trials: Trials of the search: no more of them run at a time.

    Raises:
        InputError: No node can serve a trial.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in alive]
    nodes += _launchable_nodes()
    most = {kind: max(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    gpus = options.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most["GPU"] else 0.0
    wanted = {"CPU": options.cpus_per_trial, "GPU": gpus}
    for kind, amount in wanted.items():
        if amount > most[kind]:
            raise InputError(
                f"--{kind.lower()}s-per-trial {amount:g}: no node has more than {most[kind]:g} "
                f"{kind}s; ask for less, or add nodes that have them"
            )
    room = sum(
        int(min(node.get(kind, 0.0) / amount for kind, amount in wanted.items() if amount))
        for node in nodes
    )
    limit = min(options.max_concurrent or room, n_trials)
    return Resources(options.cpus_per_trial, gpus, max(1, limit))


def _launchable_nodes() -> list[dict[str, float]]:
    """Resources of workers that `ray up` may still launch; known on the head node only."""
    path = Path.home() / "ray_bootstrap_config.yaml"
    if not path.is_file():
        return []
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    nodes = []
    for name, node_type in config["available_node_types"].items():
        if name != config["head_node_type"]:
            nodes += [node_type["resources"]] * int(node_type.get("max_workers", 0))
    return nodes[: int(config["max_workers"])]
