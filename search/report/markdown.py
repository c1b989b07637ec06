"""Pieces of Markdown: numbers, tables, and foreign text that must not become markup."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&])")  # inside a cell nothing else has a meaning
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


def quoted(text: str) -> str:
    """Return text as one line of Markdown that shows its characters; long text is cut."""
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1] + "…"
    return _MARKUP.sub(r"\\\1", line)
