"""Private names of Ray are used in three files only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGES = ("search", "spaces", "trainable")
ALLOWED = {
    "search/cluster/ray_internals.py",  # used by the driver
    "search/cluster/launch/spot_first.py",  # used by Ray's autoscaler
    "trainable/worker/tune_storage.py",  # used by workers
}
# These modules are private, too, although their names have no underscore.
NOT_PUBLIC = ("ray.core", "ray.tune.execution", "ray.tune.progress_reporter", "ray.tune.registry")


def private_names(source: str) -> list[str]:
    """Return every private name of Ray in a source, with its line.

    The types of attributes are not known. In a file that imports Ray, every private attribute
    counts, except those of `self`, of `cls`, and of names that are imported from elsewhere.
    """
    tree = ast.parse(source)
    imported = _imported(tree)
    has_ray = any(_is_of_ray(origin) for _, _, origin in imported)
    found = [f"line {line}: {origin}" for line, _, origin in imported if _is_private_of_ray(origin)]
    elsewhere = {name for _, name, origin in imported if not _is_of_ray(origin)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and has_ray and _is_private(node.attr):
            owner = node.value
            is_own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            if not is_own and _root(owner) not in elsewhere:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def _imported(tree: ast.AST) -> list[tuple[int, str, str]]:
    """Return line, local name and full name of every import."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                own = name.asname or name.name.partition(".")[0]
                found.append((node.lineno, own, name.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                origin = f"{node.module}.{name.name}"
                found.append((node.lineno, name.asname or name.name, origin))
    return found


def _is_of_ray(origin: str) -> bool:
    return origin.partition(".")[0] == "ray"


def _is_private_of_ray(origin: str) -> bool:
    hidden = any(map(_is_private, origin.split("."))) or f"{origin}.".startswith(
        tuple(f"{module}." for module in NOT_PUBLIC)
    )
    return _is_of_ray(origin) and hidden


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _root(node: ast.expr) -> str:
    """Return the name at the beginning of an expression: `a` for `a.b(c)[d].e`."""
    while True:
        if isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("package", PACKAGES)
def test_private_names_of_ray_are_in_the_named_files_only(repository: Path, package: str) -> None:
    sources = {
        path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((repository / package).rglob("*.py"))
    }
    assert sources
    found = {name: private_names(source) for name, source in sources.items()}
    assert {name: names for name, names in found.items() if names and name not in ALLOWED} == {}
    allowed = {name for name in ALLOWED if name.startswith(f"{package}/")}
    assert {name for name in allowed if found[name]} == allowed, (
        "ALLOWED has a file that uses no private name"
    )


@pytest.mark.parametrize(
    "source",
    [
        "from ray._raylet import GcsClient",
        "import ray._private.services",
        "from ray._private import services as found",
        "from ray.train._internal.session import _TrainingResult",
        "from ray.autoscaler._private.aws.node_provider import AWSNodeProvider",
        "from ray.core.generated.autoscaler_pb2 import DrainNodeReason",
        "from ray.tune.execution import class_cache",
        "from ray.tune import registry",
        "import ray\nray._private.worker.global_worker",
        "from ray.tune.schedulers import ASHAScheduler\nASHAScheduler()._brackets[0]",
        "import ray\nclass Mine:\n    def step(self):\n        self.asha._brackets",
        "import ray\nclass Mine:\n    def step(self, controller):\n        controller._trials",
        "import ray\nclass Mine(ray.tune.Trainable):\n    def step(self):\n        super()._step()",
    ],
)
def test_a_private_name_is_found(source: str) -> None:
    assert private_names(source)


@pytest.mark.parametrize(
    "source",
    [
        "import ray\nray.nodes()[0].__class__",
        "import ray\nclass Mine(ray.tune.Trainable):\n    def step(self):\n        self._n = 1",
        "import ray\nimport torch\ntorch._foreach_lerp_(ray.get(a))",
        "from ray.tune.schedulers import ASHAScheduler",
        "class Pair:\n    def __eq__(self, other):\n        return self._one == other._one",
    ],
)
def test_names_that_are_public_or_not_of_ray_are_not_found(source: str) -> None:
    assert private_names(source) == []
