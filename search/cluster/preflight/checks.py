"""Looks at nodes before trials run there, so that none fails for what can be seen before.

Every node answers for itself (node_facts.py); here is what the answers are compared with, and what
is said. Nodes that are there are looked at before the first trial, others when they join.
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
from search.cluster.preflight.ask import answers, packages, paths, put, questions, unseen
from search.cluster.preflight.node_report import Answer, look
from search.cluster.preflight.problems import SHARE, SILENT, Problem, compare, text
from search.cluster.slots import Resources, alive_nodes, places
from search.log.folder import SearchFolder
from search.planning.options import SearchOptions
from trainable.errors import InputError

# For a worker process to start and to answer, on a busy node or from a slow file system: with five
# other processes on two cores it took more than a minute.
_SECONDS = 180.0
_QUIET_SECONDS = 15.0  # of them, before it is said what is waited for


@dataclass(frozen=True)
class _Round:
    """Nodes that were asked at the same time.

    Attributes:
        nodes: Id -> what Ray says of it.
        here: The driver's own answer.
        folder: Where tokens are.
        questions: What Ray will answer -> id of the node.
        began: When they were asked, in seconds of the monotonic clock.
    """

    nodes: dict[str, dict[str, Any]]
    here: Answer
    folder: str
    questions: dict[Any, str]
    began: float


class Preflight:
    """Asks every node that could hold a trial, once, unless Ray is this machine only.

    Args:
        folder: Of the search.
        options: Which files trials read, and whether they train on GPUs.
        share: What a trial gets.
        checkpoint_bytes: Size of a checkpoint.
        seconds: That a node has to answer.
    """

    def __init__(
        self,
        folder: SearchFolder,
        options: SearchOptions,
        share: Resources,
        checkpoint_bytes: int,
        seconds: float = _SECONDS,
    ) -> None:
        self._folder, self._options, self._share = folder, options, share
        self._checkpoint_bytes, self._seconds = checkpoint_bytes, seconds
        self._asked: set[str] = set()
        self._here: Answer | None = None  # as the search began: that is the code which runs
        self._round: _Round | None = None

    def check(self, say: Callable[[str], None]) -> tuple[str, ...]:
        """Look at the nodes that are there, and wait for their answers.

        Args:
            say: Prints a line, where it takes long.

        Returns:
            What to say about it.

        Raises:
            InputError: A node does not see the storage, lacks the project or has another one, has
                other versions, too little room for checkpoints, or does not answer.
        """
        if is_private():
            return ()
        notes = []
        if not self._share.gpus and self._options.gpus_per_trial is None:
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
            raise InputError(f"--storage {storage!r} has failed: {error}; {SHARE}") from error
        for id, why in self._alive(errors).items():
            problems[why, SILENT].append(_label(nodes[id]))
        if problems:
            raise InputError(text(problems))
        return (*notes, *_notes(n_answers, len(errors)))

    def look(self, say: Callable[[str], None]) -> str:
        """See whether a node has joined, or has answered; does not wait.

        A node that does not answer is only told of: it may be about to vanish.

        Args:
            say: Prints a line.

        Returns:
            What keeps new nodes from running trials; empty if nothing is known.
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
        """Leave nothing in the storage."""
        if self._round is not None:
            self._forget(self._round.folder)

    def _new(self) -> dict[str, dict[str, Any]]:
        """Return the nodes that could hold a trial and were not asked before."""
        nodes = {n["NodeID"]: n for n in alive_nodes() if places(n["Resources"], self._share)}
        return {id: node for id, node in nodes.items() if id not in self._asked}

    def _alive(self, errors: dict[str, str]) -> dict[str, str]:
        alive = {node["NodeID"] for node in alive_nodes()}
        return {id: error for id, error in errors.items() if id in alive}

    def _ask(self, nodes: dict[str, dict[str, Any]]) -> _Round:
        """Write the driver's token, and ask nodes for what they see.

        Raises:
            OSError: The storage has failed; so does `pyarrow.ArrowException`.
        """
        self._asked |= nodes.keys()
        filesystem, root = self._folder.location()
        folder = f"{root}/.preflight-{uuid.uuid4().hex}"
        about = (self._folder.storage, folder, packages(), paths(self._options))
        try:
            put(filesystem, folder)
            self._here = self._here or look("driver", *about)
        except (OSError, pyarrow.ArrowException):
            self._forget(folder)
            raise
        return _Round(nodes, self._here, folder, questions(list(nodes), about), time.monotonic())

    def _compare(
        self, asked: _Round, seconds: float
    ) -> tuple[int, dict[Problem, list[str]], dict[str, str]]:
        """Return the number of answers, problems -> nodes, and id -> why there is no answer."""
        problems = defaultdict[Problem, list[str]](list)
        try:
            filesystem, _ = self._folder.location()
            found, errors = answers(asked.questions, seconds, self._seconds)
            for id, answer in found.items():
                node = asked.nodes[id]
                needed = places(node["Resources"], self._share) * self._checkpoint_bytes
                lost = [] if answer["storage"] else unseen(filesystem, asked.folder, id)
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
