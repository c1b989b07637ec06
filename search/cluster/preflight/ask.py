"""What nodes are asked for: tokens in the storage, versions of packages, files that trials read."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow.fs
import ray
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.preflight import node_report
from search.cluster.preflight.node_report import NodeReport, make_report
from search.cluster.preflight.problems import SHARED_STORAGE, Problem
from search.planning.options import SearchOptions
from search.planning.resume import versions
from trainable.cache.files import user_path
from trainable.data.read_tasks import read_tasks
from trainable.model.encoder import TINY

_DRIVER_ONLY = "optuna"  # makes suggestions; trials do not import it


def trial_packages() -> tuple[str, ...]:
    """Return the packages whose versions must be the same on all nodes."""
    return tuple(name for name in versions() if name not in ("python", _DRIVER_ONLY))


def trial_paths(options: SearchOptions) -> tuple[str, ...]:
    """Return the files and folders that trials read."""
    given = [options.data_dir, *(options.text_data or "").split(","), options.nli_data]
    given += [] if options.encoder == TINY else [options.encoder]
    if options.tasks is not None:
        folder = None if options.data_dir is None else user_path(options.data_dir)
        given += [str(path) for path in read_tasks(options.tasks, folder).paths]
    paths = [Path(text.removeprefix("sick:")).expanduser().absolute() for text in given if text]
    return tuple(str(path) for path in paths if path.exists())


def write_token(filesystem: pyarrow.fs.FileSystem, folder: str) -> None:
    """Write the driver's token into a new folder of the storage."""
    filesystem.create_dir(folder)
    with filesystem.open_output_stream(f"{folder}/driver.token") as stream:
        stream.write(uuid.uuid4().bytes)


def ask_nodes(ids: list[str], about: tuple[Any, ...]) -> dict[Any, str]:
    """Ask nodes for their reports; returns Ray's reference to the answer -> id of the node."""
    cloudpickle.register_pickle_by_value(node_report)  # type: ignore[no-untyped-call]
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(make_report)
        return {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)).remote(
                id, *about
            ): id
            for id in ids
        }
    finally:
        cloudpickle.unregister_pickle_by_value(node_report)  # type: ignore[no-untyped-call]


def collect_reports(
    asked: dict[Any, str], seconds: float, allowed: float
) -> tuple[dict[str, NodeReport], dict[str, str]]:
    """Wait for reports of nodes.

    Args:
        asked: As `ask_nodes` returned it.
        seconds: To wait at most.
        allowed: Seconds that the node had in all, for the message.

    Returns:
        Id of a node -> its report, and id -> why there is none.
    """
    found, errors = {}, {}
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    for question in done:
        try:
            found[asked[question]] = ray.get(question)
        except RayError as error:
            line = str(error).strip().splitlines()[-1]
            errors[asked[question]] = f"the check fails: {type(error).__name__}: {line}"
    for question in late:
        ray.cancel(question, force=True)
        errors[asked[question]] = f"no answer in {allowed:g} s"
    return found, errors


def token_problems(filesystem: pyarrow.fs.FileSystem, folder: str, id: str) -> list[Problem]:
    """Return a problem if the driver does not find the token that a node wrote; else nothing."""
    tokens = []
    for name in ("driver.token", id):
        try:
            with filesystem.open_input_stream(f"{folder}/{name}") as stream:
                tokens.append(stream.read())
        except OSError as error:
            tokens.append(str(error))
    same = tokens[0] == tokens[1]
    return (
        [] if same else [("--storage: the driver does not see what it wrote there", SHARED_STORAGE)]
    )
