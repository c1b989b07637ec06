"""The tasks' metrics of all full runs against each other, with the Pareto front."""

from __future__ import annotations

from itertools import combinations

from search.report.importance import thinned
from search.report.logged_search import LoggedSearch, name_of
from search.report.page.vega import Chart, short
from search.report.pareto import finished, front

_MOST_CHARTS = 3  # pairs of tasks
_MOST_POINTS = 500
MIN_TRIALS = 3  # finished ones


def pareto_charts(search: LoggedSearch) -> list[Chart]:
    """Return a chart for each of the first pairs of tasks; none for few trials or one task."""
    full, best = finished(search.ranked, search.tasks), front(search.ranked, search.tasks)
    if len(full) < MIN_TRIALS or len(best) < 2:
        return []
    on_front = {trial.number for trial in best}
    others = thinned([t for t in full if t.number not in on_front], _MOST_POINTS)
    charts = []
    for one, other in list(combinations(search.tasks.values(), 2))[:_MOST_CHARTS]:
        values = [
            {
                "x": short(trial.last[one.metric_key]),
                "y": short(trial.last[other.metric_key]),
                "n": f"{trial.number} ({name_of(trial)})",
                "f": "on the front" if trial.number in on_front else "beaten in all tasks",
            }
            for trial in (*others, *best)
        ]
        spec = {
            "data": {"values": values},
            "title": f"{other.title} against {one.title}",
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.85},
            "encoding": {
                "x": _axis("x", f"{one.name}, {one.metric_title}"),
                "y": _axis("y", f"{other.name}, {other.metric_title}"),
                "color": {
                    "field": "f",
                    "type": "nominal",
                    "scale": {
                        "domain": ["on the front", "beaten in all tasks"],
                        "range": ["#d55e00", "#bbbbbb"],
                    },
                },
                "tooltip": [
                    {"field": "n", "title": "trial"},
                    {"field": "x", "title": one.name},
                    {"field": "y", "title": other.name},
                ],
            },
        }
        charts.append(Chart(spec, f"{other.title} against {one.title} of all full runs"))
    return charts


def _axis(field: str, title: str) -> dict[str, object]:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "padding": 8},
        "axis": {"tickCount": 5},
    }
