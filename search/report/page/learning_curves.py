"""Metrics and losses of the best trials over units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.report.logged_search import LoggedSearch, default_name
from search.report.page.vega import SERIES, Chart, short

_BEST = 5  # trials
_LOSSES = {"mse": "squared error", "bce": "binary cross entropy", "cross_entropy": "cross entropy"}


@dataclass(frozen=True)
class Curves:
    """Charts that share their colours.

    Attributes:
        charts: The charts, without legends.
        legend: (name, colour) of each trial.
    """

    charts: list[Chart]
    legend: list[tuple[str, str]]


def learning_curves(search: LoggedSearch) -> Curves:
    """Return a chart of each task's metric, training loss and dev loss, over units.

    They show the best trials and the default. Losses of different kinds (cross entropy, squared
    error) have charts of their own: their sizes cannot be compared. What nobody reported, or what
    never changes, is left out.
    """
    shown = search.with_scores[:_BEST]
    if search.default is not None and search.default not in shown and search.default.reports:
        shown = [*shown, search.default]
    names = [_label(search, trial) for trial in shown]
    colours = dict(zip(names, SERIES, strict=False))
    charts = []
    for name, task in search.tasks.items():
        title = (task.title, f"{task.metric_title} on select")
        charts.append(_curves(search, shown, task.metric_key, title, colours))
        kinds = {trial.number: str(trial.config.tasks[name].loss) for trial in shown}
        for key, what in ((f"{name}_loss", "training"), (f"{name}_dev_loss", "select")):
            for kind in dict.fromkeys(kinds.values()):
                own = [trial for trial in shown if kinds[trial.number] == kind]
                title = (task.title, f"{_LOSSES.get(kind, kind)}, {what}")
                charts.append(_curves(search, own, key, title, colours))
    return Curves([chart for chart in charts if chart is not None], list(colours.items()))


def _curves(
    search: LoggedSearch,
    trials: Sequence[TrialRecord],
    key: str,
    title: tuple[str, str],
    colours: Mapping[str, str],
) -> Chart | None:
    """Return a key of the trials' reports over units; None where there is nothing to see."""
    values = [
        {"x": unit, "y": short(metrics[key]), "n": _label(search, trial)}
        for trial in trials
        for unit, metrics in trial.reports.items()
        if metrics.get(key) is not None
    ]
    if len({point["y"] for point in values}) < 2:
        return None
    names = [_label(search, trial) for trial in trials]
    spec = {
        "data": {"values": values},
        "height": 190,
        "title": {"text": title[0], "subtitle": title[1]},
        "mark": {"type": "line", "point": {"size": 28}, "strokeWidth": 1.5},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": "units of the budget",
                "scale": {"domain": [0, search.units]},
                "axis": {"tickMinStep": 1, "tickCount": min(search.units, 9)},
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": False},
                "axis": {"tickCount": 5},
            },
            "color": {
                "field": "n",
                "type": "nominal",
                "scale": {"domain": names, "range": [colours[name] for name in names]},
                "legend": None,
            },
            "tooltip": [
                {"field": "n", "title": "trial"},
                {"field": "x", "title": "unit"},
                {"field": "y", "title": "value"},
            ],
        },
    }
    return Chart(spec, ": ".join(title))


def _label(search: LoggedSearch, trial: TrialRecord) -> str:
    is_default = trial is search.default
    return f"trial {trial.number}" + (f" ({default_name(trial)})" if is_default else "")
