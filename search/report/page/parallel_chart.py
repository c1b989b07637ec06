"""Trials as lines through the params that matter most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.report.logged_search import LoggedSearch
from search.report.page.param_charts import MIN_TRIALS, first_score
from search.report.page.score_charts import shown_trials
from search.report.page.vega import Chart, short
from spaces.params import Param
from trainable.component import Choice

_MOST_LINES = 200
_AXES = 6


def parallel_chart(search: LoggedSearch, order: Sequence[str]) -> Chart | None:
    """Return the trials as lines through the first params and the score; None with few trials."""
    trials = [t for t in shown_trials(search, _MOST_LINES) if first_score(t) is not None]
    if len(trials) < MIN_TRIALS:
        return None
    chosen = [
        param
        for name in order
        for param in search.params
        if param.name == name
        and all(name in t.params for t in trials)
        and len({t.params[name] for t in trials}) > 1
    ][:_AXES]
    if len(chosen) < 2:
        return None
    axes = [_axis(param, trials) for param in chosen]
    scores = [float(first_score(t) or 0.0) for t in trials]
    low, high = min(scores), max(scores)
    places = [(score - low) / ((high - low) or 1.0) for score in scores]
    axes.append(_Axis("score", places, {-0.06: f"{low:.3g}", 1.06: f"{high:.3g}"}))
    lines = [
        {"a": axis.name, "y": short(axis.heights[i]), "t": trial.number, "s": short(scores[i])}
        for axis in axes
        for i, trial in enumerate(trials)
    ]
    marks = [
        {"a": axis.name, "y": short(height), "v": text}
        for axis in axes
        for height, text in axis.marks.items()
    ]
    text = {"type": "text", "fontSize": 10}
    x = {
        "field": "a",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {
            "labelAngle": 0,
            "labelExpr": "split(datum.label, '.')",
            "domain": False,
            "labelOverlap": False,
            "labelFlush": False,
            "grid": True,
        },
    }
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [-0.1, 1.1]}}
    spec = {
        "height": 300,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "data": {"values": lines},
                "mark": {"type": "line", "opacity": 0.55, "strokeWidth": 1.3},
                "encoding": {
                    "detail": {"field": "t"},
                    "color": {
                        "field": "s",
                        "type": "quantitative",
                        "scale": {"scheme": "viridis", "reverse": True},
                        "legend": {"title": "score after unit 1", "gradientLength": 120},
                    },
                    "tooltip": [
                        {"field": "t", "title": "trial"},
                        {"field": "s", "title": "score"},
                    ],
                },
            },
            {
                "data": {"values": marks},
                "encoding": {"text": {"field": "v"}},
                "layer": [  # the same text in white below it keeps the lines away from it
                    {"mark": {**text, "stroke": "#fff", "strokeWidth": 4, "strokeJoin": "round"}},
                    {"mark": {**text, "fill": "#222"}},
                ],
            },
        ],
    }
    return Chart(spec, "trials as lines through the params that matter most", True, True)


@dataclass(frozen=True)
class _Axis:
    """An axis of parallel coordinates.

    Attributes:
        name: What stands below it.
        heights: Of each trial, in [0, 1].
        marks: Height -> text at it: each kind, or the ends of a range.
    """

    name: str
    heights: list[float]
    marks: dict[float, str]


def _axis(param: Param, trials: Sequence[TrialRecord]) -> _Axis:
    values = [t.params[param.name] for t in trials]
    if isinstance(param.domain, Choice):
        known = [v for v in param.domain.values if v in set(values)]
        places = {v: i / (len(known) - 1) for i, v in enumerate(known)}
        marks = {height: str(v) for v, height in places.items()}
        return _Axis(param.name, [places[v] for v in values], marks)
    numbers = [float(v) for v in values]
    marks = {-0.06: f"{min(numbers):.2g}", 1.06: f"{max(numbers):.2g}"}
    if getattr(param.domain, "log", False):
        numbers = [math.log(v) for v in numbers]
    low, high = min(numbers), max(numbers)
    return _Axis(param.name, [(v - low) / (high - low) for v in numbers], marks)
