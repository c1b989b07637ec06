"""report.md: what a person wants to know about a finished search, with pictures."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from search.log.leaderboard import leaderboard
from search.log.trial import TrialRecord
from search.planning.amounts import clock
from search.planning.plan import Plan
from search.report.errors.section import analysis_section
from search.report.figures import (
    best_so_far_figure,
    importance_figure,
    learning_curves_figure,
    save,
)
from search.report.text import number
from spaces.distributions import to_optuna
from spaces.params import Param
from trainable.cache.files import write_text

_MIN_TRIALS = 8  # fewer say nothing about importance
_N_CURVES = 5  # trials whose learning curves are drawn


def write_report(
    plan: Plan,
    trials: list[TrialRecord],
    winner: TrialRecord | None,
    actor_seconds: float,
    extra_sections: Sequence[str] = (),
) -> None:
    """Write report.md and its pictures into the search's folder.

    Args:
        plan: The search.
        trials: Its trials.
        winner: The best of them, or None where no trial finished a unit.
        actor_seconds: Seconds that places for trials were there, busy or not.
        extra_sections: Further sections, each with its heading; before the last one.
    """
    folder = plan.folder.local
    sections = [f"# Search {plan.folder.name}", _overview(plan, trials)]
    sections += ["## Leaderboard", _table(plan, trials)]
    if winner is not None:
        sections += ["## Best configuration", _best(winner)]
        save(best_so_far_figure(trials), folder / "best_so_far.png")
        sections += ["## Best score so far", "![Best score so far](best_so_far.png)"]
        shown = [t for t in leaderboard(trials) if t.reports and t.status != "failed"][:_N_CURVES]
        save(learning_curves_figure(shown), folder / "learning_curves.png")
        sections += ["## Learning curves", "![Learning curves](learning_curves.png)"]
        sections += analysis_section(plan.folder, winner)
    importances = param_importances(plan.space.params(), trials)
    if importances:
        save(importance_figure(importances), folder / "importance.png")
        sections += [
            "## Importance of params",
            "Share of the score's variation at the first rung that a param explains (PED-ANOVA). "
            "Params that only some trials have are left out. With few trials this is a hint.",
            "![Importance of params](importance.png)",
        ]
    sections += [*extra_sections, "## Where the time went", _times(trials, actor_seconds)]
    write_text(folder / "report.md", "\n\n".join(sections) + "\n")


def _overview(plan: Plan, trials: list[TrialRecord]) -> str:
    options = plan.options
    lines = [
        f"- data {options.data} (fingerprint {plan.data_fingerprint}), encoder {options.encoder}",
        f"- space {options.space}, searcher {options.searcher}, scheduler {options.scheduler}, "
        f"seed {options.seed}",
        f"- {plan.budget:,} tokens a full run in {options.units} units; rungs after units "
        f"{', '.join(map(str, plan.rungs))}",
        *(f"- {note}" for note in plan.notes),
        *(f"- {line}" for line in _endings(plan, trials)),
    ]
    return "\n".join(lines)


def _endings(plan: Plan, trials: list[TrialRecord]) -> list[str]:
    """How many trials ended how, and where."""
    lines = []
    for status in ("done", "stopped", "failed", "interrupted"):
        own = [t for t in trials if t.status == status]
        if own:
            units = sorted({t.units for t in own})
            where = ", ".join(f"{sum(t.units == u for t in own)} after unit {u}" for u in units)
            lines.append(f"{len(own)} {status}" + (f": {where}" if status != "done" else ""))
    return lines


def _table(plan: Plan, trials: list[TrialRecord]) -> str:
    lines = [
        "Scores are on *select*, which the search saw; *confirm* it did not see.",
        "",
        "| rank | trial | units | score | SST acc. | para acc. | STS corr. | confirm | status |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for rank, trial in enumerate(leaderboard(trials), start=1):
        keys = ("score", "sst_acc", "para_acc", "sts_corr", "confirm_score")
        numbers = " | ".join(number(trial.last.get(key)) for key in keys)
        lines.append(
            f"| {rank} | {trial.number} | {trial.units}/{plan.options.units} | {numbers} | "
            f"{trial.status}{': ' + trial.error if trial.error else ''} |"
        )
    return "\n".join(lines)


def _best(winner: TrialRecord) -> str:
    lines = [f"Trial {winner.number}, as in best.json:", "", "| param | value |", "|---|---|"]
    for name, value in winner.params.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(f"| `{name}` | {shown} |")
    return "\n".join(lines)


def _times(trials: list[TrialRecord], actor_seconds: float) -> str:
    """Seconds of actors by what they did; the rest is waiting."""
    parts = {"train": 0.0, "eval": 0.0, "start": 0.0, "save": 0.0}
    for trial in trials:
        for unit, metrics in trial.reports.items():
            parts["train"] += metrics.get("train_seconds") or 0.0
            parts["eval"] += metrics.get("eval_seconds") or 0.0
            parts["save"] += metrics.get("save_seconds") or 0.0
            if unit == min(trial.reports):
                parts["start"] += metrics.get("start_seconds") or 0.0
    names = {
        "train": "training",
        "eval": "evaluation",
        "start": "switching (starting a trial's run in its actor)",
        "save": "writing checkpoints",
    }
    lines = ["| what | time, all actors together | share |", "|---|---|---|"]
    parts_and_rest = [(names[k], v) for k, v in parts.items()]
    parts_and_rest.append(
        ("waiting (Ray, driver, start of processes)", actor_seconds - sum(parts.values()))
    )
    for name, seconds in parts_and_rest:
        lines.append(f"| {name} | {clock(seconds)} | {seconds / actor_seconds:.1%} |")
    return "\n".join(lines)


def param_importances(params: tuple[Param, ...], trials: list[TrialRecord]) -> dict[str, float]:
    """Return param -> share of the variation of the score at the first unit; empty if too few.

    Every trial reaches the first rung, so this compares scores after equal budgets.
    """
    common = [p for p in params if not p.parents]
    usable = [t for t in trials if t.status != "failed" and t.reports.get(1, {}).get("score")]
    if len(usable) < _MIN_TRIALS or len(common) < 2:
        return {}
    distributions = {p.name: to_optuna(p.domain) for p in common}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of every study made
    study = optuna.create_study(direction="maximize")
    for trial in usable:
        values = {p.name: trial.params[p.name] for p in common}
        score = trial.reports[1]["score"]
        study.add_trial(
            optuna.create_trial(params=values, distributions=distributions, value=score)
        )
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    return {name: share for name, share in found.items() if share > 0}
