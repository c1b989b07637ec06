"""Scores over time: the best so far, and the trials' whole curves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from search.log.trial import TrialRecord
from search.report.importance import thinned
from search.report.logged_search import LoggedSearch, name_of
from search.report.page.vega import OUTCOMES, Chart, short

_MOST_CURVES = 300  # more lines on top of each other show nothing
_FEW = 80  # curves; more have small points, which leave their lines to be seen
_GREY = "#222222"


def outcome(trial: TrialRecord) -> str:
    """Return which of the colours a trial has: what became of it so far."""
    if trial.status in ("done", "failed"):
        return {"done": "ran to the end", "failed": "failed"}[trial.status]
    return "held back" if trial.status in ("stopped", "paused") else "under way"


def shown_trials(search: LoggedSearch, most: int = _MOST_CURVES) -> list[TrialRecord]:
    """Return at most so many trials with scores: the best half of them, and others evenly."""
    found = search.with_scores
    if len(found) <= most:
        return found
    return [*found[: most // 2], *thinned(found[most // 2 :], most - most // 2)]


def best_over_time(search: LoggedSearch) -> Chart | None:
    """Return every trial's score at each unit, and the best full run so far; None without one."""
    curves: list[dict[str, Any]] = []
    trials, (time_unit, seconds) = shown_trials(search), search.time_unit
    for trial in trials:
        name = f"{trial.number} ({name_of(trial)})"
        times = search.elapsed([trial.reported[unit] for unit in trial.reports])  # type: ignore[arg-type]
        for (unit, metrics), time in zip(trial.reports.items(), times, strict=True):
            if metrics.get("score") is not None:
                point = {"n": name, "x": time / seconds, "y": metrics["score"], "u": unit}
                curves.append(_rounded(point) | {"c": outcome(trial), "d": _decision(trial, unit)})
    if not curves:
        return None
    best = [_rounded(point) for point in _best_points(search)]
    size = 38 if len(trials) <= _FEW else 10
    scale = {"scale": OUTCOMES, "type": "nominal", "legend": {"symbolOpacity": 1}}
    x = {
        "field": "x",
        "type": "quantitative",
        "title": f"{time_unit} that the search ran",
        "scale": {"domainMin": 0, "nice": False},
        "axis": {"tickCount": 12},
    }
    y = {"field": "y", "type": "quantitative", "title": "score on select", "scale": {"zero": False}}
    tooltip = [
        {"field": "n", "title": "trial"},
        {"field": "u", "title": "unit"},
        {"field": "y", "title": "score"},
    ]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "opacity": 0.45, "strokeWidth": 1.2},
            "encoding": {"detail": {"field": "n"}, "color": {"field": "c", **scale}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": size, "opacity": 0.9},
            "encoding": {"color": {"field": "d", **scale}, "tooltip": tooltip},
        },
    ]
    if best:
        layers.append(
            {
                "data": {"values": best},
                "mark": {"type": "line", "interpolate": "step-after", "color": _GREY, "size": 2},
            }
        )
    spec = {
        "data": {"values": curves},
        "height": 320,
        "encoding": {"x": x, "y": y},
        "layer": layers,
    }
    return Chart(spec, "score of every trial against time, and the best full run so far", True)


def _decision(trial: TrialRecord, unit: int) -> str:
    """Return what was decided after a unit; what became of the trial in the end after its last."""
    if unit == trial.units and trial.status not in ("stopped", "paused"):
        return outcome(trial)
    if unit == trial.units:
        return "held back"
    return "went on"


def _best_points(search: LoggedSearch) -> Iterable[dict[str, Any]]:
    """Return where the best full run changes, and the end; none before the first full run."""
    full = [t for t in search.with_scores if t.units == search.units]
    full.sort(key=lambda trial: trial.reported[trial.units])
    best, found, seconds = -math.inf, [], search.time_unit[1]
    for trial in full:
        if trial.score > best:
            best = trial.score
            time = float(search.elapsed(trial.reported[trial.units]))
            found.append({"x": time / seconds, "y": best})
    if found:
        end = max(trial.ended for trial in search.history.trials.values())
        found.append({"x": float(search.elapsed(end)) / seconds, "y": best})
    return found


def _rounded(point: dict[str, Any]) -> dict[str, Any]:
    return {k: short(v) if isinstance(v, float) else v for k, v in point.items()}
