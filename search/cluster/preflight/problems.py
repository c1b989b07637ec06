"""What keeps a node from running trials, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.cluster.preflight.node_report import NodeReport
from search.planning.amounts import size

SHARED_STORAGE = (
    "give a --storage that every node may read and write: a bucket, such as s3://bucket/prefix, or "
    "a folder on NFS at the same path everywhere"
)
_PUSH = "push this checkout to all nodes: `ray up cluster.yaml` again does, and restarts Ray there"
_PATH = (
    "push this checkout to all nodes, and install it there (pip install -e) or start the search "
    "from its folder, which must have the same path everywhere: `ray up cluster.yaml` does both"
)
_INSTALL = "install the versions of pyproject.toml on all nodes: `ray up cluster.yaml` again does"
_COPY = "copy it to the same path on all nodes: file_mounts in cluster.yaml"
_FREE_SPACE = "make room there, or start Ray there with TMPDIR on a larger disk"
SILENT = "look at it with `ray list nodes` and ssh; without Ray on it (`ray stop`) it is left out"
_MOST_NAMED = 3

Problem = tuple[str, str]  # what is wrong, and what to do about it


def compare(there: NodeReport, here: NodeReport, storage: str, needed: int) -> list[Problem]:
    """Return the problems of a node.

    Args:
        there: Report of the node.
        here: Report of the driver.
        storage: As the user gave it.
        needed: Bytes of the checkpoints that its trials write at the same time.
    """
    problems = []
    if there["storage"]:
        problems.append((f"--storage {storage!r}: {there['storage']}", SHARED_STORAGE))
    for name, version in here["versions"].items():
        other = there["versions"][name]
        if _significant(name, other) != _significant(name, version):
            found = f"is {other}" if other else "is not installed"
            problems.append((f"{name} {found}, the driver has {version}", _INSTALL))
    if not there["home"]:
        problems.append(("the project cannot be imported", _PATH))
    elif there["sources"] != here["sources"]:
        problems.append((_differences(there, here), _PUSH))
    for path in there["absent"]:
        problems.append((f"there is no {path}, which trials read", _COPY))
    if there["free"] < needed:
        problems.append(
            (
                f"{there['temporary']} has {size(there['free'])} left, the checkpoints of its "
                f"trials pass through it and need {size(needed)} at a time",
                _FREE_SPACE,
            )
        )
    return problems


def _significant(name: str, version: str | None) -> str | None:
    """Return the part of a version that must be the same; Python 3.11.9 may be any 3.11."""
    return version if version is None or name != "python" else version.rpartition(".")[0]


def _differences(there: NodeReport, here: NodeReport) -> str:
    names = there["sources"].keys() | here["sources"].keys()
    other = sorted(n for n in names if there["sources"].get(n) != here["sources"].get(n))
    more = f" and {len(other) - _MOST_NAMED} more" if len(other) > _MOST_NAMED else ""
    return (
        f"the project in {there['home']} is not the driver's, which is in {here['home']}: "
        f"{', '.join(other[:_MOST_NAMED])}{more}"
    )


def text(problems: Mapping[Problem, Sequence[str]]) -> str:
    """Return the message that names each problem, its nodes, and what to do."""
    lines = ["not all nodes can run trials of this search:"]
    for (wrong, _), labels in sorted(problems.items()):
        more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
        lines.append(f"  {', '.join(sorted(labels)[:_MOST_NAMED])}{more}: {wrong}")
    return "\n".join([*lines, *sorted({advice for _, advice in problems})])
