"""Looks at the nodes before the first trial, so that none fails there for what can be seen now.

Every node answers for itself (node_facts.py); here is what the answers are compared with, and what
is said. Nodes that are launched later are not looked at: the same cluster.yaml makes them.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.fs
import ray
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search import node_facts
from search.cluster import Resources, alive_nodes, places
from search.local_ray import is_private
from search.node_facts import Answer, look
from search.node_problems import SHARE, SILENT, Problem, compare, text
from search.options import SearchOptions
from search.plan import Plan, checkpoint_bytes
from search.versions import versions
from trainable.encoder import TINY
from trainable.errors import InputError

_SECONDS = 60.0  # for a worker process to start on a busy node, and to answer
_DRIVER_ONLY = "optuna"  # proposes, which no trial does


def check_nodes(plan: Plan, share: Resources, seconds: float = _SECONDS) -> tuple[str, ...]:
    """Ask every node that could hold a trial, unless Ray is this machine only.

    Args:
        plan: The search.
        share: What a trial gets.
        seconds: That a node has to answer.

    Returns:
        What to say about it.

    Raises:
        InputError: A node does not see the storage, lacks the project or has another one, has other
            versions, too little room for checkpoints, or does not answer.
    """
    if is_private():
        return ()
    nodes = {node["NodeID"]: node for node in alive_nodes() if places(node["Resources"], share)}
    if not nodes:
        return ("no node is there yet that could be looked at",)
    filesystem, root = _storage(plan)
    folder = f"{root}/.preflight-{uuid.uuid4().hex}"
    asked = (plan.folder.storage, folder, _packages(), _paths(plan.options))
    try:
        _put(filesystem, folder)
        here = look("driver", *asked)
        answers, errors = _ask(list(nodes), asked, seconds)
        problems: dict[Problem, list[str]] = defaultdict(list)
        for id, answer in answers.items():
            label = f"{nodes[id]['NodeManagerAddress']} ({answer['host']}, {id[:8]})"
            needed = places(nodes[id]["Resources"], share) * checkpoint_bytes(plan)
            unseen = [] if answer["storage"] else _unseen(filesystem, folder, id)
            for problem in [*unseen, *compare(answer, here, plan.folder.storage, needed)]:
                problems[problem].append(label)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"--storage {plan.folder.storage!r} has failed: {error}; {SHARE}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            filesystem.delete_dir(folder)
    alive = {node["NodeID"] for node in alive_nodes()}
    for id in errors.keys() & alive:
        label = f"{nodes[id]['NodeManagerAddress']} ({id[:8]})"
        problems[errors[id], SILENT].append(label)
    if problems:
        raise InputError(text(problems))
    return _notes(len(answers), len(errors))


def _storage(plan: Plan) -> tuple[pyarrow.fs.FileSystem, str]:
    if plan.folder.is_remote:
        return plan.folder.remote()
    return pyarrow.fs.LocalFileSystem(), str(plan.folder.local)


def _packages() -> tuple[str, ...]:
    return tuple(name for name in versions() if name not in ("python", _DRIVER_ONLY))


def _paths(options: SearchOptions) -> tuple[str, ...]:
    """Return the files and folders that trials read."""
    given = [options.data_dir, *(options.text_data or "").split(","), options.nli_data]
    given += [] if options.encoder == TINY else [options.encoder]
    paths = [Path(text.removeprefix("sick:")).expanduser().absolute() for text in given if text]
    return tuple(str(path) for path in paths if path.exists())


def _put(filesystem: pyarrow.fs.FileSystem, folder: str) -> None:
    """Write the driver's token."""
    filesystem.create_dir(folder)
    with filesystem.open_output_stream(f"{folder}/driver.token") as stream:
        stream.write(uuid.uuid4().bytes)


def _ask(
    ids: list[str], asked: tuple[Any, ...], seconds: float
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Return id of a node -> its answer, and id -> why there is none."""
    cloudpickle.register_pickle_by_value(node_facts)  # type: ignore[no-untyped-call]
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(look)
        questions = {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)).remote(
                id, *asked
            ): id
            for id in ids
        }
    finally:
        cloudpickle.unregister_pickle_by_value(node_facts)  # type: ignore[no-untyped-call]
    answers, errors = {}, {}
    done, late = ray.wait(list(questions), num_returns=len(questions), timeout=seconds)
    for question in done:
        try:
            answers[questions[question]] = ray.get(question)
        except RayError as error:
            line = str(error).strip().splitlines()[-1]
            errors[questions[question]] = f"the check fails: {type(error).__name__}: {line}"
    for question in late:
        ray.cancel(question, force=True)
        errors[questions[question]] = f"no answer in {seconds:g} s"
    return answers, errors


def _unseen(filesystem: pyarrow.fs.FileSystem, folder: str, id: str) -> list[Problem]:
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


def _notes(n_answers: int, n_vanished: int) -> tuple[str, ...]:
    notes = []
    if n_answers:
        nodes = "1 node" if n_answers == 1 else f"{n_answers} nodes"
        notes.append(f"{nodes} looked at: storage, versions and code are as here")
    if n_vanished:
        notes.append(f"note: {n_vanished} of the nodes vanished while they were looked at")
    return tuple(notes)
