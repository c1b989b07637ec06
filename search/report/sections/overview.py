"""What was searched, how the trials ended, and the leaderboard."""

from __future__ import annotations

from search.planning.past_forecast import how_good
from search.report.differences import differences, shown
from search.report.importance import importances
from search.report.logged_search import default_name, name_of
from search.report.markdown import number, quoted, table
from search.report.page.answer import answer, gain
from search.report.sections.base import FinishedSearch
from trainable.metrics import metric_keys

_ROWS = 20  # of the leaderboard in the text


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
        *(f"- {line}" for line in (*_endings(search), how_good(search.history)) if line),
    ]
    found = [answer(search.logged), gain(search.logged)]
    return [
        f"# Search {quoted(plan.folder.name)}",
        *(quoted(line, None) for line in found if line),
        "\n".join(lines),
    ]


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
    for rank, trial in enumerate(search.logged.ranked[:_ROWS], start=1):
        status = f"{trial.status}: {quoted(trial.error)}" if trial.error else trial.status
        status += ", audited" if trial.is_audited else ""
        units = f"{trial.units}/{search.plan.options.units}"
        numbers = [number(trial.last.get(key)) for key in (*keys, "confirm_score")]
        rows.append([rank, trial.number, quoted(name_of(trial)), units, *numbers, status])
    rest = len(search.trials) - len(rows)
    return [
        "## Leaderboard",
        "Scores are on *select*, which the search saw; *confirm* it did not see.",
        table(["rank", "trial", "from", "units", *keys, "confirm", "status"], rows),
        *([f"{rest:,} more trials are in trials.csv."] if rest else []),
    ]


def best_configuration(search: FinishedSearch) -> list[str]:
    """Return in what the winner differs from the default, or its params where that is not known."""
    logged = search.logged
    winner = logged.winner
    if winner is None:
        return []
    if logged.default is winner:
        intro = f"Trial {winner.number}, the {default_name(winner)}, as in best.json."
        return ["## Best configuration", intro]
    if logged.default is None:
        rows = [[f"`{name}`", quoted(shown(value))] for name, value in winner.params.items()]
        intro = f"Trial {winner.number}, as in best.json:"
        return ["## Best configuration", intro, table(["param", "value"], rows)]
    name = default_name(logged.default)
    found = importances(logged.params, search.trials)
    changed = differences(logged.default, winner, logged.params, found)
    header = ["param", name, f"trial {winner.number}"]
    rows = [[f"`{own.name}`", quoted(own.default), quoted(own.own)] for own in changed]
    intro = f"Trial {winner.number}, as in best.json, where it differs from the {name}:"
    return ["## Best configuration", intro, table(header, rows)]
