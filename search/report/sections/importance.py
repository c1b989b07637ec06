"""Which params decide the score, as far as a few trials can say."""

from __future__ import annotations

import optuna
from matplotlib.figure import Figure

from search.log.trial import TrialRecord
from search.report.figures import save
from search.report.sections.base import FinishedSearch
from spaces.distributions import to_optuna
from spaces.params import Param

_MIN_TRIALS = 8  # fewer say nothing about importance


def importance(search: FinishedSearch) -> list[str]:
    """Return the picture of each param's share; nothing where there are too few trials."""
    found = param_importances(search.plan.space.params(), search.trials)
    if not found:
        return []
    save(importance_figure(found), search.folder / "importance.png")
    return [
        "## Importance of params",
        "Share of the score's variation at the first rung that a param explains (PED-ANOVA). "
        "Params that only some trials have are left out. With few trials this is a hint.",
        "![Importance of params](importance.png)",
    ]


def param_importances(params: tuple[Param, ...], trials: list[TrialRecord]) -> dict[str, float]:
    """Return param -> share of the variation of the score at the first unit; empty if too few.

    Every trial reaches the first rung, so this compares scores after equal budgets.
    """
    common = [p for p in params if not p.parents]
    usable = [
        t for t in trials if t.status != "failed" and t.reports.get(1, {}).get("score") is not None
    ]
    if len(usable) < _MIN_TRIALS or len(common) < 2:
        return {}
    distributions = {p.name: to_optuna(p.domain) for p in common}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it logs every new study otherwise
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


def importance_figure(importances: dict[str, float]) -> Figure:
    """Draw horizontal bars, the most important param on top."""
    shown = sorted(importances.items(), key=lambda item: item[1])[-15:]
    figure = Figure(figsize=(7, 0.6 + 0.28 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name for name, _ in shown], [share for _, share in shown])
    axes.set(xlabel="share of the score's variation", title="Importance of params")
    axes.grid(axis="x", alpha=0.3)
    return figure
