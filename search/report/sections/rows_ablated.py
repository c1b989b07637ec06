"""The rows of an ablation, each beside the base."""

from __future__ import annotations

import math

from search.report.ablation_table import BASE, ablation_rows, note, p_value, shown
from search.report.markdown import quoted, table
from search.report.sections.base import FinishedSearch


def rows_ablated(search: FinishedSearch) -> list[str]:
    """Return the table; nothing for another space."""
    rows = ablation_rows(search.logged)
    if not rows:
        return []
    lines = []
    for row in rows:
        error = "" if math.isnan(row.error) else f" ± {row.error:.4f}"
        gain = "" if row.name == BASE else f"{shown(row.difference, '+.4f')}{error}"
        runs = f"{row.n_runs}/{row.n_asked}"
        numbers = [shown(row.mean, ".4f"), shown(row.stdev, ".4f"), gain]
        lines.append(
            [
                *(quoted(row.name), runs, *numbers, p_value(row.p_holm)),
                *(shown(row.seconds, ".0f"), row.verdict),
            ]
        )
    header = ["row", "runs", "mean", "stdev", "difference to base", "p (Holm)", "seconds", ""]
    return ["## Ablation", f"Score on *confirm*; {note(rows)}.", table(header, lines)]
