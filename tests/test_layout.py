"""The packages are where they should be, and nothing in them hides anything else."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

from spaces.component_table import DOCUMENT, update

PACKAGES = ("search", "spaces", "trainable")


@pytest.mark.parametrize("name", PACKAGES)
def test_package_is_that_of_the_repository(name: str, repository: Path) -> None:
    """`spaces` is also a distribution on PyPI."""
    file = importlib.import_module(name).__file__
    assert file is not None
    assert Path(file).resolve() == repository / name / "__init__.py"


def test_no_module_of_search_shadows_another() -> None:
    """`python search/run.py` puts search/ first on the path, on workers too."""
    folder = Path(importlib.import_module("search").__path__[0])
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py"} - {"__init__"}
    assert {"run", "events"} <= names
    assert names & sys.stdlib_module_names == set()
    installed = importlib.metadata.packages_distributions().keys() - set(PACKAGES)
    assert len(installed) > 20
    assert names & installed == set()


def test_table_of_components_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert update(text) == text, "run: python -m spaces.component_table"
