"""What was searched, how the trials ended, and the leaderboard."""

from __future__ import annotations

from search.log.leaderboard import gained, lead, leaderboard
from search.planning.past_forecast import how_good
from search.report.markdown import number, quoted, table
from search.report.sections.base import FinishedSearch
from trainable.metrics import metric_keys


def overview(search: FinishedSearch) -> list[str]:
    """Return the title, the options, how many trials ended how, and what was gained."""
    plan = search.plan
    options = plan.options
    lines = [
        f"- data {quoted(options.tasks or options.data)} (fingerprint {plan.data_fingerprint}), "
        f"encoder {quoted(options.encoder)}",
        f"- space {options.space}, searcher {options.searcher}, scheduler {options.scheduler}, "
        f"seed {options.seed}",
        f"- {plan.budget:,} tokens a full run in {options.units} units; rungs after units "
        f"{', '.join(map(str, plan.rungs))}",
        *(f"- {quoted(note, None)}" for note in plan.notes),
        *(f"- {line}" for line in _endings(search)),
        *(f"- {line}" for line in _conclusions(search) if line),
    ]
    return [f"# Search {quoted(plan.folder.name)}", "\n".join(lines)]


def _conclusions(search: FinishedSearch) -> list[str]:
    """Return who leads and why, what was gained, and how good the forecast was."""
    trials = search.trials
    return [lead(trials).reason, gained(trials), how_good(search.history)]


def _endings(search: FinishedSearch) -> list[str]:
    """Return a line for each status that trials ended with: how many, and after which units."""
    lines = []
    for status in ("done", "stopped", "failed", "interrupted"):
        own = [t for t in search.trials if t.status == status]
        if own:
            units = sorted({t.units for t in own})
            where = ", ".join(f"{sum(t.units == u for t in own)} after unit {u}" for u in units)
            lines.append(f"{len(own)} {status}" + (f": {where}" if status != "done" else ""))
    return lines


def trial_table(search: FinishedSearch) -> list[str]:
    """Return the leaderboard, with failed trials and their errors."""
    keys = ("score", *metric_keys(search.plan.tasks))
    rows = []
    for rank, trial in enumerate(leaderboard(search.trials), start=1):
        status = f"{trial.status}: {quoted(trial.error)}" if trial.error else trial.status
        units = f"{trial.units}/{search.plan.options.units}"
        numbers = [number(trial.last.get(key)) for key in (*keys, "confirm_score")]
        rows.append([rank, trial.number, units, *numbers, status])
    return [
        "## Leaderboard",
        "Scores are on *select*, which the search saw; *confirm* it did not see.",
        table(["rank", "trial", "units", *keys, "confirm", "status"], rows),
    ]


def best_configuration(search: FinishedSearch) -> list[str]:
    """Return the params of the winner."""
    winner = search.winner
    if winner is None:
        return []
    rows = [
        [f"`{name}`", f"{value:.4g}" if isinstance(value, float) else quoted(str(value))]
        for name, value in winner.params.items()
    ]
    return [
        "## Best configuration",
        f"Trial {winner.number}, as in best.json:",
        table(["param", "value"], rows),
    ]
