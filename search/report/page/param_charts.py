"""Params against the score, parallel coordinates, and what each param decides."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from search.log.trial import TrialRecord
from search.report.importance import Importance
from search.report.logged_search import LoggedSearch, name_of
from search.report.page.score_charts import outcome, shown_trials
from search.report.page.vega import OUTCOMES, Chart, short
from spaces.params import Param
from trainable.component import Choice

MIN_TRIALS = 8  # with fewer, a cloud is no cloud
_MOST_POINTS = 600  # of a small chart
_MOST_LINES = 200
_CHARTS, _AXES = 12, 6
_BARS = 15


def importance_chart(found: Sequence[Importance]) -> Chart | None:
    """Return bars with errors, the most important param on top; None where nothing was measured."""
    if not found:
        return None
    values = [
        {
            "n": own.name,
            "s": short(own.share),
            "lo": short(own.share - own.error),
            "hi": short(own.share + own.error),
            "c": own.is_clear,
        }
        for own in found[:_BARS]
    ]
    y = {"field": "n", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 210}}
    x: dict[str, Any] = {"type": "quantitative", "title": "share of the ranks' variance"}
    colour = {"condition": {"test": "datum.c", "value": "#0072b2"}, "value": "#bbbbbb"}
    spec = {
        "data": {"values": values},
        "height": {"step": 20},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "encoding": {"y": y},
        "layer": [
            {"mark": "bar", "encoding": {"x": {"field": "s", **x}, "color": colour}},
            {"mark": "rule", "encoding": {"x": {"field": "lo", **x}, "x2": {"field": "hi"}}},
        ],
    }
    return Chart(spec, "share of the score that each param decides, with standard errors", True)


def param_charts(search: LoggedSearch, order: Sequence[str]) -> list[Chart]:
    """Return a chart of the score at the first unit against each of the first params.

    Args:
        search: The search.
        order: Names of params, the most interesting first.
    """
    trials = [t for t in shown_trials(search, _MOST_POINTS) if _first(t) is not None]
    if len(trials) < MIN_TRIALS:
        return []
    by_name = {param.name: param for param in search.params}
    charts = []
    for name in order:
        own = [t for t in trials if name in t.params]
        if name in by_name and len(own) >= MIN_TRIALS and len({t.params[name] for t in own}) > 1:
            charts.append(_param_chart(by_name[name], own))
        if len(charts) == _CHARTS:
            break
    return charts


def _first(trial: TrialRecord) -> float | None:
    return trial.reports.get(1, {}).get("score")


def _param_chart(param: Param, trials: Sequence[TrialRecord]) -> Chart:
    name, draw = param.name, random.Random(0)
    is_choice = isinstance(param.domain, Choice)
    values = []
    for trial in trials:
        value = trial.params[name]
        point = {"y": short(_first(trial)), "n": name_of(trial), "t": trial.number}
        point["x"] = str(value) if is_choice else short(float(value))
        point["c"] = outcome(trial)
        values.append(point | ({"j": round(draw.random(), 2)} if is_choice else {}))
    x: dict[str, Any] = {"field": "x", "title": None}
    if is_choice:
        x |= {"type": "nominal", "axis": {"labelAngle": -25, "labelLimit": 90, "labelFlush": False}}
        x["scale"] = {"paddingInner": 0.4, "paddingOuter": 0.2}
    else:
        x |= {"type": "quantitative", "scale": {"zero": False, "nice": False, "padding": 8}}
        x["axis"] = {"tickCount": 4, "format": "~g", "labelOverlap": "greedy"}
        if getattr(param.domain, "log", False):
            x["scale"] |= {"type": "log"}
    encoding: dict[str, Any] = {
        "x": x,
        "y": {
            "field": "y",
            "type": "quantitative",
            "title": "score after unit 1",
            "scale": {"zero": False, "padding": 6},
            "axis": {"tickCount": 5},
        },
        "color": {"field": "c", "type": "nominal", "scale": OUTCOMES, "legend": None},
        "tooltip": [
            {"field": "t", "title": "trial"},
            {"field": "n", "title": "from"},
            {"field": "x", "title": name},
            {"field": "y", "title": "score"},
        ],
    }
    if is_choice:
        encoding["xOffset"] = {"field": "j", "type": "quantitative", "scale": {"domain": [0, 1]}}
    spec = {
        "data": {"values": values},
        "title": name,
        "mark": {"type": "point", "filled": True, "size": 34, "opacity": 0.65},
        "encoding": encoding,
    }
    return Chart(spec, f"score after the first unit against {name}")


def parallel_chart(search: LoggedSearch, order: Sequence[str]) -> Chart | None:
    """Return the trials as lines through the first params and the score; None with few trials."""
    trials = [t for t in shown_trials(search, _MOST_LINES) if _first(t) is not None]
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
    axes = [(param.name, *_scaled(param, trials)) for param in chosen]
    scores = [float(_first(t) or 0.0) for t in trials]
    low, high = min(scores), max(scores)
    places = [(score - low) / ((high - low) or 1.0) for score in scores]
    axes.append(("score", places, f"{low:.3g}", f"{high:.3g}"))
    lines = [
        {"a": name, "y": short(heights[i]), "t": trial.number, "s": short(scores[i])}
        for name, heights, _, _ in axes
        for i, trial in enumerate(trials)
    ]
    ends = [
        {"a": name, "y": height, "v": text}
        for name, _, bottom, top in axes
        for height, text in ((-0.06, bottom), (1.06, top))
    ]
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
                "data": {"values": ends},
                "mark": {"type": "text", "fontSize": 10, "fill": "#444"},
                "encoding": {"text": {"field": "v"}},
            },
        ],
    }
    return Chart(spec, "trials as lines through the params that matter most", True, True)


def _scaled(param: Param, trials: Sequence[TrialRecord]) -> tuple[list[float], str, str]:
    """Return each trial's height in [0, 1], and what stands at both ends of the axis."""
    values = [t.params[param.name] for t in trials]
    if isinstance(param.domain, Choice):
        known = [v for v in param.domain.values if v in set(values)]
        heights = [known.index(v) / (len(known) - 1) for v in values]
        return heights, str(known[0]), str(known[-1])
    numbers = [float(v) for v in values]
    if getattr(param.domain, "log", False):
        numbers = [math.log(v) for v in numbers]
    low, high = min(numbers), max(numbers)
    ends = (min(map(float, values)), max(map(float, values)))
    return [(v - low) / (high - low) for v in numbers], f"{ends[0]:.2g}", f"{ends[1]:.2g}"
