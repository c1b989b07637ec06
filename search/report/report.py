"""report.md: a short text on a finished search, for terminals and pull requests.

The whole report is the page, report.html. A new section of the text is a new file in
`search/report/sections/` and a line in `SECTIONS`; one of the page stands in
`search/report/page/page.html`.
"""

from __future__ import annotations

from search.report.sections.base import FinishedSearch, Section
from search.report.sections.commands import next_commands
from search.report.sections.finalist_table import finalist_table
from search.report.sections.not_learned import not_learned
from search.report.sections.overview import best_configuration, overview, trial_table
from search.report.sections.published_rows import published_rows
from search.report.sections.rows_ablated import rows_ablated
from search.report.sections.rung_cuts import rung_cuts
from search.report.sections.times import times
from trainable.cache.files import write_text

SECTIONS: tuple[Section, ...] = (
    overview,
    trial_table,
    not_learned,
    finalist_table,
    best_configuration,
    rows_ablated,
    rung_cuts,
    published_rows,
    times,
    next_commands,
)


def write_report(search: FinishedSearch) -> None:
    """Write report.md into the local folder of the search."""
    paragraphs = [paragraph for section in SECTIONS for paragraph in section(search)]
    write_text(search.folder / "report.md", "\n\n".join(paragraphs) + "\n")
