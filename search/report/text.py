"""Pieces of Markdown: numbers, tables, and text of others that must not become markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&])")  # inside a cell nothing else has a meaning
_LONGEST = 300  # characters of a sentence in a table


def number(value: float | None, digits: int = 4) -> str:
    """Return a number, or nothing where it is not known."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_error(score: float, error: float) -> str:
    """Return `0.123 ± 0.004`, without what is not known."""
    return number(score, 3) if math.isnan(error) else f"{score:.3f} ± {error:.3f}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def quoted(text: str) -> str:
    """Return text on one line, cut if it is long, so that Markdown shows it as it is."""
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1] + "…"
    return _MARKUP.sub(r"\\\1", line)
