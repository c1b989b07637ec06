"""The commands that repeat a search and go on from it."""

from __future__ import annotations

from search.report.markdown import visible
from search.report.page.answer import commands
from search.report.sections.base import FinishedSearch


def next_commands(search: FinishedSearch) -> list[str]:
    """Return the commands, and where the whole report is."""
    lines = [visible(command) for _, command in commands(search.logged, search.plan.folder.uri)]
    return [
        "## Commands",
        "\n".join(["```bash", *lines, "```"]),
        "Curves, params, errors, and what each task costs another are in report.html.",
    ]
