"""Links, pictures and files of all documents exist, and their commands have valid options."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tyro

from tests.markdown import anchors, calls, fenced, named_files, pytest_calls, targets

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 200  # of README.md
_NOT_OURS = {"runs", "build", "mutants"}  # folders that searches, builds and mutmut leave
_WITH_OPTIONS = re.compile(
    r"(search|tests|tests/benchmarks|tests/chaos)/\w+\.py|-m trainable(\.data)?"
)


def documents() -> list[Path]:
    """Return every Markdown file of the project, relative to its root."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        hidden = {name for name in inside if name.startswith(".") and name != ".github"}
        inside[:] = sorted(set(inside) - hidden - _NOT_OURS)
        found += [Path(folder, name).relative_to(ROOT) for name in names if name.endswith(".md")]
    return sorted(found)


DOCUMENTS = documents()
TEXTS = {document: (ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS}
CALLS = sorted({call for text in TEXTS.values() for call in calls(text)})
PYTEST_CALLS = sorted({call for text in TEXTS.values() for call in pytest_calls(text)})
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=str)


class _Parsed(BaseException):
    """Ends a program as soon as it has parsed its options; `except Exception` does not catch it."""

    def __init__(self, options: object) -> None:
        super().__init__()
        self.options = options


def options_of(program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a program until it has parsed its options, and return them.

    Raises:
        SystemExit: An option is not valid.
    """
    real: Callable[..., object] = tyro.cli

    def cli(*args: Any, **kwargs: Any) -> None:
        raise _Parsed(real(*args, **kwargs))

    module = program.removeprefix("-m ")
    monkeypatch.setattr(tyro, "cli", cli)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))  # scripts replace its first entry
    with mock.patch.dict(os.environ):
        try:
            if program.startswith("-m "):
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(ROOT / program), run_name="__main__")
        except _Parsed as parsed:
            return parsed.options
    raise AssertionError(f"{program} ended before it parsed its options")


def test_readme_is_short_and_begins_with_a_search_without_options() -> None:
    text = TEXTS[Path("README.md")]
    assert len(text.splitlines()) <= MOST_LINES
    first, *_ = calls(text)
    assert first == ("search/run.py", ())
    assert "pip install -e . && python search/run.py" in fenced(text)
    assert "pip install -e '.[test]' && pytest -n auto" in fenced(text)


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [Path("README.md")]
    while waiting:
        document = waiting.pop()
        if document in TEXTS and document not in reached:
            reached.add(document)
            paths = (target.split("#")[0] for target in targets(TEXTS[document]) if target)
            links = (ROOT / document.parent / path for path in paths if ":" not in path)
            waiting += [link.resolve().relative_to(ROOT) for link in links]
    assert reached == set(DOCUMENTS)


@each_document
def test_links_and_pictures_exist(document: Path) -> None:
    wrong = []
    for target in targets(TEXTS[document]):
        if re.match(r"[a-z]+:", target):
            continue  # a link to another server
        path, _, anchor = target.partition("#")
        file = (ROOT / document.parent / path).resolve() if path else ROOT / document
        known = file.is_relative_to(ROOT) and file.exists()
        if known and anchor:
            known = anchor in anchors(file.read_text(encoding="utf-8"))
        if not known:
            wrong.append(target)
    assert wrong == []


def test_named_files_exist() -> None:
    named = {document: named_files(text) for document, text in TEXTS.items()}
    wrong = {
        str(document): [name for name in sorted(names) if not (ROOT / name).exists()]
        for document, names in named.items()
    }
    assert {document: names for document, names in wrong.items() if names} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("program", "arguments"), CALLS, ids=lambda part: str(part))
def test_program_takes_the_options_of_a_command(
    program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if program.startswith("-m "):
        assert find_spec(program.removeprefix("-m ")) is not None
    else:
        assert (ROOT / program).is_file()
    if "--help" in arguments:
        return
    if not _WITH_OPTIONS.fullmatch(program):
        assert all((ROOT / argument).is_file() for argument in arguments), (
            "this program takes files only"
        )
        return
    options = options_of(program, arguments, monkeypatch)
    if program == "search/retrain.py":
        assert options.best.startswith("runs/")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", PYTEST_CALLS, ids=shlex.join)
def test_named_tests_exist(arguments: tuple[str, ...]) -> None:
    for argument in arguments:
        if "/" in argument or argument.endswith(".py"):
            assert (ROOT / argument.split("::")[0]).exists()
    # pytest exits with status 4 at an option that neither it nor a plugin has.
    command = [sys.executable, "-m", "pytest", *arguments, "--version"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_every_kind_of_program_is_called_in_some_document() -> None:
    programs = {program for program, _ in CALLS}
    assert {"search/run.py", "search/retrain.py", "search/export.py", "-m trainable"} <= programs
    assert PYTEST_CALLS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments"),
    [("search/run.py", ("--not-this",)), ("search/retrain.py", ()), ("-m trainable", ("--no",))],
)
def test_unknown_options_are_found(
    program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as refused:
        options_of(program, arguments, monkeypatch)
    assert refused.value.code == 2
