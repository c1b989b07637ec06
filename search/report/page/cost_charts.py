"""Places in use over time, and what they cost so far."""

from __future__ import annotations

import numpy as np

from search.report.logged_search import LoggedSearch
from search.report.page.vega import Chart, short

_BINS = 200


def timeline(search: LoggedSearch) -> list[Chart]:
    """Return the charts; none for a search whose trials held no place yet."""
    history = search.history
    open_stints = [
        (t.slot_since, max(history.last, t.slot_since))
        for t in history.trials.values()
        if t.slot_since is not None
    ]
    stints = np.array([*history.stints, *open_stints], float).reshape(-1, 2)
    if not len(stints) or not history.slots:
        return []
    begins, ends = search.elapsed(stints[:, 0]), search.elapsed(stints[:, 1])
    whole = float(search.elapsed(history.last))
    if whole <= 0:
        return []
    edges = np.linspace(0, whole, _BINS + 1)
    used = _integral(edges, begins) - _integral(edges, ends)  # place-seconds up to each edge
    busy = np.diff(used) / np.diff(edges)
    times = np.array([time for time, _ in history.slots])
    slots = np.array([n for _, n in history.slots])
    opened, changes = search.elapsed(times), np.diff(slots, prepend=0)
    there = np.diff(_weighted(edges, opened, changes)) / np.diff(edges)
    gpus, cpus = (float(history.header.get(key) or 0.0) for key in ("gpus", "cpus"))
    devices, unit = (gpus, "GPU hours") if gpus else (cpus or 1.0, "core hours")
    time_unit, seconds = search.time_unit
    middle = (edges[1:] + edges[:-1]) / 2 / seconds
    places = [
        {"x": short(float(x)), "b": short(float(b)), "t": short(float(t))}
        for x, b, t in zip(middle, busy, there, strict=True)
    ]
    cost = [
        {"x": short(float(x) / seconds), "y": short(float(y) * devices / 3600)}
        for x, y in zip(edges, used, strict=True)
    ]
    axis = {
        "field": "x",
        "type": "quantitative",
        "title": f"{time_unit} that the search ran",
        "scale": {"domain": [0, short(whole / seconds)], "nice": False},
    }
    most = float(max(slots.max(), busy.max()))
    height = {"type": "quantitative", "title": "places", "scale": {"domain": [0, most * 1.05]}}
    in_use = {
        "data": {"values": places},
        "title": "Places in use (blue) of those there (line)",
        "encoding": {"x": axis},
        "layer": [
            {
                "mark": {"type": "area", "interpolate": "step", "color": "#0072b2", "opacity": 0.6},
                "encoding": {"y": {"field": "b", **height}},
            },
            {
                "mark": {"type": "line", "interpolate": "step", "color": "#222222", "size": 1.5},
                "encoding": {"y": {"field": "t", **height}},
            },
        ],
    }
    spent = {
        "data": {"values": cost},
        "title": f"Cost so far: {used[-1] * devices / 3600:,.3g} {unit}",
        "mark": {"type": "area", "color": "#e69f00", "opacity": 0.7, "line": {"color": "#e69f00"}},
        "encoding": {
            "x": axis,
            "y": {"field": "y", "type": "quantitative", "title": unit, "axis": {"tickCount": 5}},
        },
    }
    return [Chart(in_use, "places in use over time"), Chart(spent, f"{unit} over time")]


def _integral(edges: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the sum over times of how long ago each was at each edge, (n_edges,)."""
    return _weighted(edges, times, np.ones(len(times)))


def _weighted(edges: np.ndarray, times: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(times)
    times, weights = times[order], weights[order]
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    moments = np.concatenate([[0.0], np.cumsum(weights * times)])
    n = np.searchsorted(times, edges, side="right")
    return np.asarray(sums[n] * edges - moments[n])
