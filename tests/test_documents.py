"""What the documents say is there: links, pictures, files, and commands with options that parse."""

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

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 200  # of README.md
_NOT_OURS = {"runs", "build"}  # searches and packages that were made here
_FENCED = re.compile(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
# To the end of the command: a quote closes one that runs on another machine.
_PYTHON = re.compile(r"\bpython (?P<program>(?:-m )?[\w./]+)(?P<arguments>[^&|;<>\n]*)")
_PYTEST = re.compile(r"(?<![\w/-])pytest\b(?P<arguments>[^&|;<>\n]*)")
_WITH_OPTIONS = re.compile(r"(search|tests/benchmarks|tests/chaos)/\w+\.py|-m trainable")
_FILE = re.compile(r"(?:(?:search|spaces|trainable|tests)/|\.(?:ci|github)/)[\w./-]*")

Call = tuple[str, tuple[str, ...]]  # `search/run.py` or `-m trainable`, and its arguments


def documents() -> list[Path]:
    """Return every Markdown file of the project, relative to its root."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        hidden = {name for name in inside if name.startswith(".") and name != ".github"}
        inside[:] = sorted(set(inside) - hidden - _NOT_OURS)
        found += [Path(folder, name).relative_to(ROOT) for name in names if name.endswith(".md")]
    return sorted(found)


def fenced(text: str) -> str:
    """Return the lines inside fenced blocks, continued lines joined."""
    return "".join(_FENCED.findall(text)).replace("\\\n", " ")


def prose(text: str) -> str:
    """Return a text without its fenced blocks."""
    return _FENCED.sub("", text)


def words(arguments: str) -> tuple[str, ...]:
    """Return the words of a command's end; a quote that it did not open ends it."""
    for end in range(len(arguments), -1, -1):
        if end == len(arguments) or arguments[end] in "'\"":
            try:
                return tuple(shlex.split(arguments[:end], comments=True))
            except ValueError:
                continue  # the quote was opened before the command
    raise AssertionError(arguments)


def calls(text: str) -> list[Call]:
    """Return the calls of Python programs in fenced blocks: program and arguments."""
    return [(m["program"], words(m["arguments"])) for m in _PYTHON.finditer(fenced(text))]


def pytest_calls(text: str) -> list[tuple[str, ...]]:
    """Return the arguments of each call of pytest in fenced blocks."""
    return [words(m["arguments"]) for m in _PYTEST.finditer(fenced(text))]


def targets(text: str) -> list[str]:
    """Return what links and pictures point to, code left out."""
    plain = re.sub(r"`[^`\n]*`", "", prose(text))
    found = re.findall(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)", plain)
    found += re.findall(r"^\[[^\]]+\]:\s*(\S+)", plain, re.MULTILINE)
    return found + re.findall(r"(?:src|srcset|href)=[\"']([^\"']+)", plain)


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), re.MULTILINE):
        name = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", name).replace(" ", "-")
        number = 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def named_files(text: str) -> set[str]:
    """Return the files and folders of the project that a document names in code."""
    spans = re.findall(r"`([^`\n]+)`", prose(text))
    return {word for span in spans for word in span.split() if _FILE.fullmatch(word)}


DOCUMENTS = documents()
TEXTS = {document: (ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS}
CALLS = sorted({call for text in TEXTS.values() for call in calls(text)})
PYTEST_CALLS = sorted({call for text in TEXTS.values() for call in pytest_calls(text)})
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=str)


class _Parsed(BaseException):
    """Ends a program as soon as it knows its options; no `except Exception` holds it."""

    def __init__(self, options: object) -> None:
        super().__init__()
        self.options = options


def options_of(program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a program until it has parsed its options, and return these.

    Raises:
        SystemExit: It does not take them.
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
    raise AssertionError(f"{program} ended without a look at its options")


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
def test_links_and_pictures_are_there(document: Path) -> None:
    wrong = []
    for target in targets(TEXTS[document]):
        if re.match(r"[a-z]+:", target):
            continue  # of another server
        path, _, anchor = target.partition("#")
        file = (ROOT / document.parent / path).resolve() if path else ROOT / document
        known = file.is_relative_to(ROOT) and file.exists()
        if known and anchor:
            known = anchor in anchors(file.read_text(encoding="utf-8"))
        if not known:
            wrong.append(target)
    assert wrong == []


@pytest.mark.xfail(reason="documents name files by where they will lie after the moves")
def test_files_that_are_named_are_there() -> None:
    named = {document: named_files(text) for document, text in TEXTS.items()}
    wrong = {
        str(document): [name for name in sorted(names) if not (ROOT / name).exists()]
        for document, names in named.items()
    }
    assert {document: names for document, names in wrong.items() if names} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("program", "arguments"), CALLS, ids=lambda part: str(part))
def test_command_is_one_that_its_program_takes(
    program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if program.startswith("-m "):
        assert find_spec(program.removeprefix("-m ")) is not None
    else:
        assert (ROOT / program).is_file()
    if "--help" in arguments:
        return
    if not _WITH_OPTIONS.fullmatch(program):
        assert all((ROOT / argument).is_file() for argument in arguments), "it takes files only"
        return
    options = options_of(program, arguments, monkeypatch)
    if program == "search/retrain.py":
        assert options.best.startswith("runs/")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", PYTEST_CALLS, ids=shlex.join)
def test_tests_that_are_named_are_there(arguments: tuple[str, ...]) -> None:
    for argument in arguments:
        if "/" in argument or argument.endswith(".py"):
            assert (ROOT / argument.split("::")[0]).exists()
    # What is not an option of pytest and its plugins ends with status 4.
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
def test_options_that_are_not_there_are_found(
    program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as refused:
        options_of(program, arguments, monkeypatch)
    assert refused.value.code == 2


def test_commands_are_found_in_fenced_blocks_only() -> None:
    text = (
        "python search/run.py --not-this\n"
        "```sh\npip install -e . && python search/run.py\n"
        "python search/run.py --trials 3 \\\n    --units 2  # a remark\n```\n"
        "```\nray exec cluster.yaml 'cd x && A=b python search/run.py --seed 1'\n"
        "$ python search/retrain.py runs/a/best.json --seeds 3\n"
        "python search/run.py --rows 'a/*,b/*' && python -m spaces.some_table\n"
        "pip install x && pytest -n auto  # all\npytest -m root tests/a.py\n```\n"
    )
    assert calls(text) == [
        ("search/run.py", ()),
        ("search/run.py", ("--trials", "3", "--units", "2")),
        ("search/run.py", ("--seed", "1")),
        ("search/retrain.py", ("runs/a/best.json", "--seeds", "3")),
        ("search/run.py", ("--rows", "a/*,b/*")),
        ("-m spaces.some_table", ()),
    ]
    assert pytest_calls(text) == [("-n", "auto"), ("-m", "root", "tests/a.py")]


def test_links_anchors_and_files_are_found() -> None:
    text = (
        '# What it `is`, and for whom\n## Twice\n## Twice\n[a](b.md#c) ![d](e.svg "f")\n'
        "`[no](link)` and `search/log/` or `cp tests/a.py .`, not `search/log/*` nor `runs/x.py`\n"
        "```\n# no heading\n[no](link) `search/no.py`\n```\n<img src='g.png'>\n"
    )
    assert targets(text) == ["b.md#c", "e.svg", "g.png"]
    assert anchors(text) == {"what-it-is-and-for-whom", "twice", "twice-1"}
    assert named_files(text) == {"search/log/", "tests/a.py"}
