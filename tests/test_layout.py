"""The packages are those of the repository, and no name in them hides or repeats another."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from spaces.component_table import DOCUMENT, update

PACKAGES = ("search", "spaces", "trainable")
# Every family has a base and a union, a script has the name of the command that it calls, and
# `python -m` runs a package's `__main__`.
_MAY_REPEAT = {
    "__init__",
    "__main__",
    "base",
    "family",
    "run",
    "export",
    "retrain",
    "predict",
    "replay",
}


@pytest.fixture(scope="module")
def modules(repository: Path) -> list[Path]:
    """Return all modules of the project, relative to its root."""
    found = [path for name in PACKAGES for path in (repository / name).rglob("*.py")]
    assert len(found) > 100
    return [path.relative_to(repository) for path in found]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_is_that_of_the_repository(name: str, repository: Path) -> None:
    """A distribution on PyPI has the name `spaces`, too."""
    file = importlib.import_module(name).__file__
    assert file is not None
    assert Path(file).resolve() == repository / name / "__init__.py"


def test_nothing_in_search_shadows_another_module() -> None:
    """`python search/run.py` puts search/ first on the path, on workers too."""
    folder = Path(importlib.import_module("search").__path__[0])
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    names -= {"__init__", "__pycache__"}
    assert {"run", "log", "cluster"} <= names
    assert names & sys.stdlib_module_names == set()
    installed = importlib.metadata.packages_distributions().keys() - set(PACKAGES)
    assert len(installed) > 20
    assert names & installed == set()


def test_no_module_has_the_name_of_another(modules: list[Path]) -> None:
    counts = Counter(path.stem for path in modules)
    assert {name for name, n in counts.items() if n > 1} <= _MAY_REPEAT


def test_no_class_has_the_name_of_another(modules: list[Path], repository: Path) -> None:
    counts = Counter(name for path in modules for name in _classes(repository / path))
    assert len(counts) > 100
    assert {name for name, n in counts.items() if n > 1} == set()


def _classes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield node.name


def test_every_folder_with_modules_is_installed(modules: list[Path], repository: Path) -> None:
    """pyproject.toml lists the packages for setuptools by name."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted({".".join(path.parent.parts) for path in modules})


def test_table_of_components_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert update(text) == text, "run: python -m spaces.component_table"
