"""report.md: what a person wants to know about a finished search, with pictures.

A new section is a new file in `search/report/sections/` and a line in `SECTIONS`.
"""

from __future__ import annotations

from search.report.errors.section import analysis
from search.report.sections.base import FinishedSearch, Section
from search.report.sections.finalist_table import finalist_table
from search.report.sections.importance import importance
from search.report.sections.not_learned import not_learned
from search.report.sections.overview import best_configuration, overview, trial_table
from search.report.sections.published_rows import published_rows
from search.report.sections.score_curves import best_so_far, learning_curves
from search.report.sections.times import times
from trainable.cache.files import write_text

SECTIONS: tuple[Section, ...] = (
    overview,
    trial_table,
    finalist_table,
    not_learned,
    best_configuration,
    best_so_far,
    learning_curves,
    analysis,
    importance,
    published_rows,
    times,
)


def write_report(search: FinishedSearch) -> None:
    """Write report.md and its pictures into the local folder of the search."""
    paragraphs = [paragraph for section in SECTIONS for paragraph in section(search)]
    write_text(search.folder / "report.md", "\n\n".join(paragraphs) + "\n")
