"""Executables that record how they are called, and what cluster.yaml says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from tests.cluster.rights import CLUSTER_YAML, load_policies

RECORDER = """#!{python} -S
import json, os, sys
names = {variables!r}
call = {{"name": os.path.basename(sys.argv[0]), "arguments": sys.argv[1:],
         "environment": {{name: os.environ[name] for name in names if name in os.environ}}}}
with open({log!r}, "a") as file:
    file.write(json.dumps(call) + "\\n")
"""


@dataclass(frozen=True)
class Call:
    """One call of a recorded executable.

    Attributes:
        name: Of the executable.
        arguments: What followed it.
        environment: Those of the variables that the recorder was asked for, where set.
    """

    name: str
    arguments: list[str]
    environment: dict[str, str]

    @property
    def text(self) -> str:
        """Name and arguments in one line."""
        return " ".join([self.name, *self.arguments])


@dataclass(frozen=True)
class Recorder:
    """A folder of executables for the front of PATH, and what they recorded."""

    folder: Path
    log: Path

    def add(self, name: str, *variables: str, then: str = "") -> None:
        """Add an executable that records its call, with these variables, and exits with 0.

        Args:
            name: Of the executable.
            variables: Names of environment variables to record.
            then: Python to run after the call is recorded.
        """
        text = RECORDER.format(python=sys.executable, variables=variables, log=str(self.log))
        path = self.folder / name
        path.write_text(text + then, encoding="utf-8")
        path.chmod(0o755)

    def calls(self) -> list[Call]:
        """All calls so far, in order."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [Call(**json.loads(line)) for line in lines]


@pytest.fixture(scope="session")
def make_recorder() -> Callable[[Path], Recorder]:
    """Return a function from an empty folder to a recorder in it."""

    def make(folder: Path) -> Recorder:
        executables = folder / "bin"
        executables.mkdir()
        return Recorder(executables, folder / "calls.jsonl")

    return make


@pytest.fixture
def recorder(tmp_path: Path, make_recorder: Callable[[Path], Recorder]) -> Recorder:
    return make_recorder(tmp_path)


@pytest.fixture
def cluster() -> dict[str, Any]:
    """The file as YAML, read afresh."""
    loaded: dict[str, Any] = yaml.safe_load(CLUSTER_YAML.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def policies() -> dict[str, Any]:
    """The policy documents in the file's comments, by the names to save them under."""
    return load_policies()
