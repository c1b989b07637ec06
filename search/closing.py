"""What a search leaves behind: trials.csv, best.json, report.md. Each file appears whole."""

from __future__ import annotations

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.published_rows import ledger_section
from search.report.report import write_report
from search.report.write import result_files
from trainable.cache.files import write_text


def write_results(plan: Plan, history: History, actor_seconds: float) -> TrialRecord | None:
    """Write all results of a search; returns the best trial, or None where there is none.

    Args:
        plan: The search.
        history: What happened in it.
        actor_seconds: Seconds that places for trials were there, busy or not.
    """
    for name, text in result_files(plan.folder.name, history).items():
        write_text(plan.folder.local / name, text)
    trials, winner = list(history.trials.values()), history.best
    write_report(plan, trials, winner, actor_seconds, ledger_section(plan, trials))
    plan.folder.publish()
    return winner
