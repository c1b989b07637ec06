"""What a search leaves behind: trials.csv, best.json, reports; each file appears whole."""

from __future__ import annotations

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.errors.section import analysis_section
from search.report.page.parts import FOLDER, write_parts
from search.report.page.write_page import write_page
from search.report.report import write_report
from search.report.result_files import result_files
from search.report.sections.base import FinishedSearch
from search.report.sections.published_rows import published_rows
from trainable.cache.files import write_text


def write_results(plan: Plan, history: History) -> TrialRecord | None:
    """Write all results of a search on this machine; returns the best trial, None where none is.

    Args:
        plan: The search.
        history: What happened in it.
    """
    for name, text in result_files(plan.folder.name, history).items():
        write_text(plan.folder.local / name, text)
    write_reports(FinishedSearch(plan, history))
    return history.best


def write_reports(search: FinishedSearch) -> None:
    """Write report.md, and report.html with the parts of it that need data and plan."""
    folder, winner = search.plan.folder, search.logged.winner
    pictures = search.folder / FOLDER
    pictures.mkdir(exist_ok=True)
    errors = []
    if winner is not None:
        again = search.history.seed_runs_of(winner.number)
        errors = analysis_section(folder, winner, again, pictures)
    write_parts(search.folder, winner, errors, published_rows(search))
    write_report(search)
    write_page(search.logged, search.folder, folder.uri)
