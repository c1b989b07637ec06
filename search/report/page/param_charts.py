"""Params against the score, and what each param decides."""

from __future__ import annotations

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
_CHARTS = 12
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
    trials = [t for t in shown_trials(search, _MOST_POINTS) if first_score(t) is not None]
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


def first_score(trial: TrialRecord) -> float | None:
    """Return the score after the first unit, which every trial has; None before it."""
    return trial.reports.get(1, {}).get("score")


def _param_chart(param: Param, trials: Sequence[TrialRecord]) -> Chart:
    name, draw = param.name, random.Random(0)
    is_choice = isinstance(param.domain, Choice)
    values = []
    for trial in trials:
        value = trial.params[name]
        point = {"y": short(first_score(trial)), "n": name_of(trial), "t": trial.number}
        point["x"] = str(value) if is_choice else short(float(value))
        point["c"] = outcome(trial)
        values.append(point | ({"j": round(draw.random(), 2)} if is_choice else {}))
    x: dict[str, Any] = {"field": "x", "title": None}
    if is_choice:
        x |= {
            "type": "nominal",
            "axis": {"labelAngle": -25, "labelLimit": 115, "labelFlush": False},
        }
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
