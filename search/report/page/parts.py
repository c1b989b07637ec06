"""Parts of the page that need data or plan: written once, in the end, and read by every writer.

They lie below `report/` in the folder of the search, so that `search/export.py`, which has the log
only, keeps them. What is said of a winner's errors has its number in the name of the file, and is
left out where another trial leads.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from search.log.trial import TrialRecord
from trainable.cache.files import write_text

FOLDER = "report"
_PUBLISHED = "published_rows.html"


@dataclass(frozen=True)
class Parts:
    """HTML that an earlier writer left; empty where there is none.

    Attributes:
        errors: Where the winner is right and wrong.
        published: Published rows beside ours.
    """

    errors: Markup
    published: Markup


def _errors(winner: TrialRecord) -> str:
    return f"errors_of_trial_{winner.number}_after_{winner.units}.html"


def write_parts(
    folder: Path, winner: TrialRecord | None, errors: Sequence[str], published: Sequence[str]
) -> None:
    """Write the parts.

    Args:
        folder: Of the search.
        winner: The best trial.
        errors: Paragraphs of Markdown on it, the heading first; its pictures lie in `report/`.
        published: Paragraphs on published rows, the heading first; empty where none ran.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    if winner is not None:
        write_text(target / _errors(winner), to_html("\n\n".join(errors[1:]), target))
    if published:
        write_text(target / _PUBLISHED, to_html("\n\n".join(published[1:]), target))


def read_parts(folder: Path, winner: TrialRecord | None) -> Parts:
    """Return what was written before of the trial that leads now."""

    def read(name: str) -> Markup:
        path = folder / FOLDER / name
        # Written by this module, which escaped all text in it.
        return Markup(path.read_text(encoding="utf-8") if path.exists() else "")

    return Parts(Markup() if winner is None else read(_errors(winner)), read(_PUBLISHED))


def to_html(text: str, pictures: Path) -> str:
    """Return Markdown as HTML: tags in it stay text, and pictures go into it.

    Args:
        text: Paragraphs whose foreign text was escaped by `quoted`.
        pictures: Folder that the names of pictures are relative to.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def image(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        content = (pictures / Path(str(token.attrs["src"])).name).read_bytes()
        data = base64.b64encode(content).decode("ascii")
        alt = Markup.escape(token.content)
        return f'<img alt="{alt}" src="data:image/png;base64,{data}">'

    markdown.add_render_rule("image", image)
    return str(markdown.render(text))
