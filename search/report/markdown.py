"""Pieces of Markdown: numbers, tables, and foreign text that must not become markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&])")  # inside a cell nothing else has a meaning
# Control characters, which terminals obey; halves of characters, which UTF-8 does not have; marks
# that reverse the order of what follows.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_LONGEST = 300  # characters of a sentence in a table


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many decimals; an empty text where it is not known."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_error(score: float, error: float) -> str:
    """Return `0.123 ± 0.004`; a score without a standard error stands alone."""
    return number(score, 3) if math.isnan(error) else f"{score:.3f} ± {error:.3f}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def visible(text: str) -> str:
    """Return text whose control characters and reversals of order are written out."""
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def quoted(text: str, longest: int | None = _LONGEST) -> str:
    """Return text as one line of Markdown that shows its characters.

    Args:
        text: Any text: a sentence of the data, an error, a path.
        longest: Characters from which it is cut; None for no cut.
    """
    line = visible(" ".join(text.split()))
    if longest is not None and len(line) > longest:
        line = line[: longest - 1] + "…"
    return _MARKUP.sub(r"\\\1", line)
