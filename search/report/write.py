"""What a search leaves behind: trials.csv, best.json, report.md; each file appears whole."""

from __future__ import annotations

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.report import write_report
from search.report.result_files import result_files
from search.report.sections.base import FinishedSearch
from trainable.cache.files import write_text


def write_results(plan: Plan, history: History, actor_seconds: float) -> TrialRecord | None:
    """Write all results of a search; returns the best trial, or None where there is none.

    Args:
        plan: The search.
        history: What happened in it.
        actor_seconds: Seconds for which slots for trials existed, busy or not.
    """
    for name, text in result_files(plan.folder.name, history).items():
        write_text(plan.folder.local / name, text)
    write_report(FinishedSearch(plan, history, actor_seconds))
    plan.folder.publish()
    return history.best
