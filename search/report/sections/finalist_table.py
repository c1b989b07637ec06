"""The finalists: how they stood when they got no more seeds, and what is claimed of the winner."""

from __future__ import annotations

from search.report.logged_search import LoggedSearch
from search.report.markdown import number, table
from search.report.sections.base import FinishedSearch


def finalist_table(search: FinishedSearch) -> list[str]:
    """Return a table of the finalists; nothing where no round was finished."""
    return finalists_of(search.logged)


def finalists_of(search: LoggedSearch) -> list[str]:
    """Return the same from the log alone."""
    race = search.history.race
    if race is None or not race.rounds:
        return []
    last, default = race.rounds[-1], race.finalists[-1]
    rows = []
    for line in sorted(last["standings"], key=lambda line: -(line["mean"] or 0.0)):
        name = "the default" if line["trial"] == default else ""
        behind = number(line["behind"])
        if line["error"] is not None:
            behind = f"{line['behind']:.4f} ± {line['error']:.4f}"
        left = "" if line["left"] is None else f"after {line['left']}"
        mean = number(line["mean"])
        rows.append([line["trial"], name, line["seeds"], mean, behind, left])
    winner = search.history.trials[last["winner"]]
    ended = f" It ended: {last['reason']}." if last["reason"] else " It is not over."
    verdict = winner.verdict
    claim = [] if verdict is None else [f"Trial {winner.number}: {verdict.claim}."]
    return [
        "## Finalists",
        "The best trials and the default ran again with new seeds, as long as they might win. "
        "Means are on *select*, over the new seeds; behind ± is one standard error, over new seeds "
        f"and new examples.{ended}",
        table(["trial", "", "new seeds", "mean", "behind the leader", "dropped"], rows),
        *claim,
    ]
