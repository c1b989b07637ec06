"""How nodes are asked what they see, and what they should: tokens, versions, paths."""

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
from search.cluster.preflight.node_report import Answer, look
from search.cluster.preflight.problems import SHARE, Problem
from search.planning.options import SearchOptions
from search.planning.resume import versions
from trainable.model.encoder import TINY

_DRIVER_ONLY = "optuna"  # suggests, which no trial does


def packages() -> tuple[str, ...]:
    return tuple(name for name in versions() if name not in ("python", _DRIVER_ONLY))


def paths(options: SearchOptions) -> tuple[str, ...]:
    """Return the files and folders that trials read."""
    given = [options.data_dir, *(options.text_data or "").split(","), options.nli_data]
    given += [] if options.encoder == TINY else [options.encoder]
    paths = [Path(text.removeprefix("sick:")).expanduser().absolute() for text in given if text]
    return tuple(str(path) for path in paths if path.exists())


def put(filesystem: pyarrow.fs.FileSystem, folder: str) -> None:
    """Write the driver's token."""
    filesystem.create_dir(folder)
    with filesystem.open_output_stream(f"{folder}/driver.token") as stream:
        stream.write(uuid.uuid4().bytes)


def questions(ids: list[str], about: tuple[Any, ...]) -> dict[Any, str]:
    """Ask nodes; returns what Ray will answer -> id of the node."""
    cloudpickle.register_pickle_by_value(node_report)  # type: ignore[no-untyped-call]
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(look)
        return {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)).remote(
                id, *about
            ): id
            for id in ids
        }
    finally:
        cloudpickle.unregister_pickle_by_value(node_report)  # type: ignore[no-untyped-call]


def answers(
    asked: dict[Any, str], seconds: float, allowed: float
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Return id of a node -> its answer, and id -> why there is none."""
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


def unseen(filesystem: pyarrow.fs.FileSystem, folder: str, id: str) -> list[Problem]:
    """Return what is wrong if a node's token did not arrive."""
    tokens = []
    for name in ("driver.token", id):
        try:
            with filesystem.open_input_stream(f"{folder}/{name}") as stream:
                tokens.append(stream.read())
        except OSError as error:
            tokens.append(str(error))
    same = tokens[0] == tokens[1]
    return [] if same else [("--storage: the driver does not see what it wrote there", SHARE)]
