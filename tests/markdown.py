"""What a Markdown document contains: commands, links, anchors, and names of files."""

from __future__ import annotations

import re
import shlex

_FENCED = re.compile(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
# Arguments may end with the quote of an outer command that runs this one on another machine.
_ARGUMENTS = r"""(?P<arguments>(?:'[^'\n]*'|"[^"\n]*"|[^&|;<>\n])*)"""  # `>` may stand in quotes
_PYTHON = re.compile(r"\bpython (?P<program>(?:-m )?[\w./]+)" + _ARGUMENTS)
_PYTEST = re.compile(r"(?<![\w/-])pytest\b" + _ARGUMENTS)
_FILE = re.compile(r"(?:(?:search|spaces|trainable|tests)/|\.(?:ci|github)/)[\w./-]*")

Call = tuple[str, tuple[str, ...]]  # `search/run.py` or `-m trainable`, and its arguments


def fenced(text: str) -> str:
    """Return the lines inside fenced blocks; a line that ends with a backslash is joined."""
    return "".join(_FENCED.findall(text)).replace("\\\n", " ")


def prose(text: str) -> str:
    """Return a text without its fenced blocks."""
    return _FENCED.sub("", text)


def words(arguments: str) -> tuple[str, ...]:
    """Split arguments as a shell does; a closing quote without an opening one ends them."""
    for end in range(len(arguments), -1, -1):
        if end == len(arguments) or arguments[end] in "'\"":
            try:
                return tuple(shlex.split(arguments[:end], comments=True))
            except ValueError:
                continue  # this quote was opened before the command
    raise AssertionError(arguments)


def calls(text: str) -> list[Call]:
    """Return the calls of Python programs in fenced blocks."""
    return [(m["program"], words(m["arguments"])) for m in _PYTHON.finditer(fenced(text))]


def pytest_calls(text: str) -> list[tuple[str, ...]]:
    """Return the arguments of each call of pytest in fenced blocks."""
    return [words(m["arguments"]) for m in _PYTEST.finditer(fenced(text))]


def targets(text: str) -> list[str]:
    """Return the targets of links and pictures outside code."""
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
