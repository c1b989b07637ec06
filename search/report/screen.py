"""What is printed at the end of a search."""

from __future__ import annotations

import shlex

from search.log.leaderboard import gained, lead, leaderboard
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.best import BEST
from search.report.logged_search import name_of
from search.report.sections.not_learned import constant_answers
from search.report.sections.rung_cuts import audit_line


def summary(plan: Plan, trials: list[TrialRecord], winner: TrialRecord | None) -> str:
    """Return the first ten of the leaderboard, the commands to type next, and what was gained.

    Args:
        plan: The search.
        trials: All trials of the search.
        winner: The best of them, or None where no trial finished a unit.
    """
    folder, units, tasks = plan.folder, plan.options.units, plan.tasks
    columns = {"score": "score"} | {task.metric_key: name for name, task in tasks.items()}
    widths = [max(7, len(name)) for name in columns.values()]
    header = " ".join(f"{name:{n}}" for name, n in zip(columns.values(), widths, strict=True))
    lines = [f"rank trial units  {header} status"]
    for rank, trial in enumerate(leaderboard(trials)[:10], start=1):
        cells = [trial.last.get(key) for key in columns]
        numbers = " ".join(
            f"{'-' if v is None else f'{v:.4f}':>{n}}" for v, n in zip(cells, widths, strict=True)
        )
        row = f"  {name_of(trial)}" if "row" in trial.params else ""
        audited = ", audited" if trial.is_audited else ""
        numbered = f"{rank:4} {trial.number:5} {trial.units:3}/{units}"
        lines.append(f"{numbered} {numbers}  {trial.status}{audited}{row}")
    goes_on = f"the same command with --name {shlex.quote(folder.name)} --resume goes on"
    can_go_on = any(trial.status in ("interrupted", "paused") for trial in trials)
    if winner is None:
        has_errors = any(trial.error or trial.last_failure for trial in trials)
        advice = goes_on if can_go_on and not has_errors else "see the errors above"
        return "\n".join([*lines, "", f"no trial finished a unit; {advice}"])
    if reason := lead(trials).reason:
        lines += ["", reason]
    lines += [
        f"warning: trial {winner.number}, the best, {answer}: it has not learned this task"
        for answer in constant_answers(winner, tasks)
    ]
    local = folder.local  # neither command reads a bucket
    lines += [
        "",
        f"  tensorboard --logdir {shlex.quote(str(local))}",
        f"  python search/retrain.py {shlex.quote(str(local / BEST))} --seeds 3",
    ]
    if can_go_on:
        lines.append(f"  {goes_on}")
    asked = plan.earlier.header.get("options", vars(plan.options))
    last = [line for line in (audit_line(asked, trials), gained(trials)) if line]
    if last:
        lines += ["", *last]
    return "\n".join(lines)
