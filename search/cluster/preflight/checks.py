"""Checks nodes before trials run on them, so that no trial fails for what can be known before.

Every node reports what it sees (node_report.py), and the driver compares that with what it sees
itself. Nodes that are alive are checked before the first trial, others when they join.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow
import ray

from search.cluster.local_ray import is_private
from search.cluster.preflight.ask import (
    ask_nodes,
    collect_reports,
    token_problems,
    trial_packages,
    trial_paths,
    write_token,
)
from search.cluster.preflight.node_report import NodeReport, make_report
from search.cluster.preflight.problems import SHARED_STORAGE, SILENT, Problem, compare, text
from search.cluster.slots import Resources, alive_nodes, n_slots
from search.log.folder import SearchFolder
from search.planning.options import SearchOptions
from trainable.errors import InputError

# For a worker process to start and to answer, on a busy node or from a slow file system. With five
# other processes on two cores it took more than a minute.
_SECONDS = 180.0
_QUIET_SECONDS = 15.0  # then a line says what the search waits for


@dataclass(frozen=True)
class _Round:
    """One set of nodes that were asked at the same time.

    Attributes:
        nodes: Id -> Ray's description of the node.
        here: The driver's own report.
        folder: In the storage; it holds the tokens.
        questions: Ray's reference to the answer -> id of the node.
        began: When they were asked, in seconds of the monotonic clock.
    """

    nodes: dict[str, dict[str, Any]]
    here: NodeReport
    folder: str
    questions: dict[Any, str]
    began: float


class Preflight:
    """Asks every node that could run a trial, once; a local Ray is not asked.

    Args:
        folder: Of the search.
        options: Say which files trials read, and whether they train on GPUs.
        resources: Of one trial.
        checkpoint_bytes: Size of a checkpoint.
        seconds: Within which a node has to answer.
    """

    def __init__(
        self,
        folder: SearchFolder,
        options: SearchOptions,
        resources: Resources,
        checkpoint_bytes: int,
        seconds: float = _SECONDS,
    ) -> None:
        self._folder, self._options, self._resources = folder, options, resources
        self._checkpoint_bytes, self._seconds = checkpoint_bytes, seconds
        self._asked: set[str] = set()
        self._here: NodeReport | None = None  # as the search began: that is the code which runs
        self._round: _Round | None = None

    def check(self, say: Callable[[str], None]) -> tuple[str, ...]:
        """Check the nodes that are alive, and wait for their answers.

        Args:
            say: Prints a line where it takes long.

        Returns:
            Lines to print.

        Raises:
            InputError: A node does not see the storage, lacks the project or has another one, has
                other versions, too little room for checkpoints, or does not answer.
        """
        if is_private():
            return ()
        notes = []
        if not self._resources.gpus and self._options.gpus_per_trial is None:
            notes.append("no node has a GPU: trials train on CPUs")
        nodes = self._new()
        if not nodes:
            return (*notes, "no node is there yet that could be looked at; each is when it joins")
        storage = self._folder.storage
        try:
            asked = self._ask(nodes)
            if waiting := _waiting(asked, min(_QUIET_SECONDS, self._seconds)):
                of = f"{len(waiting)} of {len(nodes)} nodes"
                say(f"waiting for {of} to answer, at most {self._seconds / 60:.2g} minutes")
            left = asked.began + self._seconds - time.monotonic()
            n_answers, problems, errors = self._compare(asked, max(0.0, left))
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(
                f"--storage {storage!r} has failed: {error}; {SHARED_STORAGE}"
            ) from error
        for id, why in self._alive(errors).items():
            problems[why, SILENT].append(_label(nodes[id]))
        if problems:
            raise InputError(text(problems))
        return (*notes, *_notes(n_answers, len(errors)))

    def look(self, say: Callable[[str], None]) -> str:
        """Ask nodes that have joined, and compare what has been answered, without waiting.

        A node that does not answer only gets a warning: it may be about to vanish.

        Args:
            say: Prints a line.

        Returns:
            What keeps new nodes from running trials; an empty string if nothing does so far.
        """
        if is_private():
            return ""
        if self._round is None:
            if nodes := self._new():
                try:
                    self._round = self._ask(nodes)
                except (OSError, pyarrow.ArrowException):
                    self._asked -= nodes.keys()  # again next time; the watchdog tells of storage
            return ""
        asked = self._round
        if _waiting(asked, 0.0) and time.monotonic() - asked.began < self._seconds:
            return ""
        self._round = None
        _, problems, errors = self._compare(asked, 0.0)
        for id, why in self._alive(errors).items():
            say(f"warning: node {_label(asked.nodes[id])}: {why}; {SILENT}")
        return text(problems) if problems else ""

    def close(self) -> None:
        """Remove the tokens from the storage."""
        if self._round is not None:
            self._forget(self._round.folder)

    def _new(self) -> dict[str, dict[str, Any]]:
        """Return id -> description of the nodes that can run a trial and were not asked before."""
        nodes = {n["NodeID"]: n for n in alive_nodes() if n_slots(n["Resources"], self._resources)}
        return {id: node for id, node in nodes.items() if id not in self._asked}

    def _alive(self, errors: dict[str, str]) -> dict[str, str]:
        alive = {node["NodeID"] for node in alive_nodes()}
        return {id: error for id, error in errors.items() if id in alive}

    def _ask(self, nodes: dict[str, dict[str, Any]]) -> _Round:
        """Write the driver's token, and ask nodes for their reports.

        Raises:
            OSError: The storage has failed.
            ArrowException: It has failed in a way for which pyarrow raises no OSError.
        """
        self._asked |= nodes.keys()
        filesystem, root = self._folder.location()
        folder = f"{root}/.preflight-{uuid.uuid4().hex}"
        about = (self._folder.storage, folder, trial_packages(), trial_paths(self._options))
        try:
            write_token(filesystem, folder)
            self._here = self._here or make_report("driver", *about)
        except (OSError, pyarrow.ArrowException):
            self._forget(folder)
            raise
        return _Round(nodes, self._here, folder, ask_nodes(list(nodes), about), time.monotonic())

    def _compare(
        self, asked: _Round, seconds: float
    ) -> tuple[int, dict[Problem, list[str]], dict[str, str]]:
        """Return the number of answers, problems -> nodes, and id -> why there is no answer."""
        problems = defaultdict[Problem, list[str]](list)
        try:
            filesystem, _ = self._folder.location()
            found, errors = collect_reports(asked.questions, seconds, self._seconds)
            for id, answer in found.items():
                node = asked.nodes[id]
                needed = n_slots(node["Resources"], self._resources) * self._checkpoint_bytes
                lost = [] if answer["storage"] else token_problems(filesystem, asked.folder, id)
                wrong = compare(answer, asked.here, self._folder.storage, needed)
                for problem in [*lost, *wrong]:
                    problems[problem].append(_label(node, answer["host"]))
        finally:
            self._forget(asked.folder)
        return len(found), problems, errors

    def _forget(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            self._folder.location()[0].delete_dir(folder)


def _waiting(asked: _Round, seconds: float) -> list[Any]:
    """Return the questions that have no answer yet, after so many seconds at most."""
    questions = list(asked.questions)
    return list(ray.wait(questions, num_returns=len(questions), timeout=seconds)[1])


def _label(node: dict[str, Any], host: str = "") -> str:
    names = [name for name in (host, node["NodeID"][:8]) if name]
    return f"{node['NodeManagerAddress']} ({', '.join(names)})"


def _notes(n_answers: int, n_vanished: int) -> tuple[str, ...]:
    notes = []
    if n_answers:
        nodes = "1 node" if n_answers == 1 else f"{n_answers} nodes"
        notes.append(f"{nodes} looked at: storage, versions and code are as here")
    if n_vanished:
        notes.append(f"note: {n_vanished} of the nodes vanished while they were looked at")
    return tuple(notes)
