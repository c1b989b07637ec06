"""What rungs cut: the trials that ran on for the audit, and what other rungs would have done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.log.trial import TrialRecord
from search.planning.audit_share import audit_share
from search.report.audit_estimate import (
    OtherRungs,
    cut_at,
    cut_winners,
    is_cut,
    other_rungs,
    sentence,
)
from search.report.logged_search import LoggedSearch
from search.report.markdown import number, table
from search.report.sections.base import FinishedSearch
from search.schedulers.rungs import rungs, units_per_trial

_ETAS = (2, 3, 4)
_LEAST = 2  # audited full runs, below which a table of other rungs would be that of the survivors


def audit_line(search_options: Mapping[str, Any], trials: list[TrialRecord]) -> str:
    """Return one sentence about the audit of a search; empty where there is nothing to say."""
    share = audit_share(search_options)
    found = cut_winners(trials)
    return sentence(found, share) if share and found else ""


def rung_cuts(search: FinishedSearch) -> list[str]:
    """Return what was found out about the trials that rungs stopped."""
    return rung_cuts_of(search.logged)


def rung_cuts_of(search: LoggedSearch) -> list[str]:
    """Return the same from the log alone."""
    options, trials = search.history.header["options"], list(search.history.trials.values())
    line, share = audit_line(options, trials), audit_share(options)
    if not line:
        return []
    paragraphs = [
        "## What the rungs cut",
        f"{line.removeprefix('audit: ').capitalize()}. Whether a trial runs on is drawn "
        f"({share:.0%} are), whatever its score is, and it takes no place of others. To have won "
        f"is to score more on *select* than every full run that no rung stopped.",
        _by_rung(trials),
    ]
    audited = [t for t in trials if t.is_audited and t.status == "done"]
    kept = [t for t in trials if t.status == "done" and not t.is_audited]
    if len(audited) < _LEAST:
        return [
            *paragraphs,
            f"What another eta or first rung would have done cannot be told from {len(audited)} "
            f"audited full run{'' if len(audited) == 1 else 's'}. `python search/replay.py` fills "
            f"in the ends of curves, and says how sure that is.",
        ]
    best = max([*kept, *audited], key=lambda t: t.score)
    found = [other_rungs(trials, best, *rule, share) for rule in _rules(search.units)]
    return [
        *paragraphs,
        f"With other rungs, the best of all full runs (trial {best.number}, {best.score:.4f}) "
        f"would have been kept or cut as follows. Each of the {len(audited)} audited trials stands "
        f"for {1 / share:.0f} that were stopped, so take it as a hint.",
        _rules_table(found, len(trials), search.units),
    ]


def _by_rung(trials: list[TrialRecord]) -> str:
    rows: list[list[object]] = []
    for unit in sorted({cut_at(t) for t in trials if is_cut(t)}):
        found = cut_winners(trials, unit)
        assert found is not None  # there is a full run, or the section would be empty
        over = [t for t in trials if t.audited_at == unit and t.status == "done"]
        best = number(max((t.score for t in over), default=float("nan")))
        interval = f"{found.low} to {found.high}" if found.run_on else "not known"
        rows.append([unit, found.stopped, found.run_on, found.won, interval, best])
    header = [
        "rung",
        "stopped",
        "ran on",
        "would have won",
        "of all stopped (90 %)",
        "best of them",
    ]
    return table(header, rows)


def _rules(units: int) -> list[tuple[tuple[int, ...], int]]:
    """Return rungs and eta of what is compared: the first rung at unit 1, or at unit eta."""
    found = [(rungs(units, eta)[skipped:], eta) for eta in _ETAS for skipped in (0, 1)]
    return [(levels, eta) for levels, eta in found if len(levels) > 1]


def _rules_table(found: list[OtherRungs], n_trials: int, units: int) -> str:
    rows: list[list[object]] = []
    for own in found:
        full_runs = n_trials * units_per_trial(own.levels, own.eta) / units
        fate = "kept" if own.cut_at is None else f"cut at unit {own.cut_at}"
        best = "" if own.best is None else f"{own.best.score:.4f} (trial {own.best.number})"
        levels = ", ".join(map(str, own.levels[:-1]))
        rows.append([own.eta, levels, f"{full_runs:.1f}", fate, best])
    return table(["eta", "rungs", "full runs spent", "the best", "best that is left"], rows)
