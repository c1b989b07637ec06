"""Draw what whole searches gain over the default, a dot for each search.

    python tests/benchmarks/real_picture.py .github/gains.png

The searches are those of real_search.py, from real_search.jsonl beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.report.figures import save
from tests.benchmarks.real_table import Result, read_lines

# Contestant -> its name in the picture; each budget of it has a row, the first at the top.
_NAMES = {
    "ours-4": "this project",
    "ours-8": "this project",
    "ours-16": "this project",
    "tpe-asha": "OptunaSearch + ASHA",
    "random-asha": "random + ASHA",
    "priorband": "PriorBand",
}
_RESULTS = Path(__file__).with_name("real_search.jsonl")
_SETTINGS = {"course": "SST, Quora and STS", "sick": "SICK: entailment and relatedness"}
_OURS, _OTHERS = "#0b6e99", "#8a8a8a"
_SPREAD = 0.3  # dots of a row lie so far above and below its middle, that none hides another

Row = tuple[str, int]  # contestant and full runs


@dataclass(frozen=True)
class Options:
    """Draw what whole searches gain over the default."""

    picture: Annotated[Path, tyro.conf.Positional]
    """PNG file to write."""

    results: Path = _RESULTS
    """Lines of real_search.py."""


def main(options: Options) -> None:
    """Write the picture."""
    save(picture(read_lines(options.results)), options.picture)


def gains_of(results: Iterable[Result], setting: str) -> dict[Row, list[float]]:
    """Return the gain of each seed in one setting, seeds in their order."""
    found: dict[Row, list[float]] = {}
    for result in sorted(results, key=lambda r: int(r["seed"])):
        if result["setting"] == setting and result["contestant"] in _NAMES:
            for reading in result["readings"]:
                row = (result["contestant"], reading["full_runs"])
                found.setdefault(row, []).append(reading["gain"])
    return found


def picture(results: list[Result]) -> Figure:
    """Return the figure: a panel for each setting, a row for each contestant and budget."""
    gains = {setting: gains_of(results, setting) for setting in _SETTINGS}
    order = list(_NAMES)
    rows = sorted(
        {row for own in gains.values() for row in own}, key=lambda r: (order.index(r[0]), r[1])
    )
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    panels = figure.subplots(1, len(_SETTINGS), sharey=True)
    for axes, (setting, title) in zip(panels, _SETTINGS.items(), strict=True):
        axes.axvline(0.0, color="black", linewidth=0.8, zorder=0)
        for y, row in enumerate(rows):
            _draw(axes, y, gains[setting].get(row, []), is_ours=row[0].startswith("ours"))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("gain over the default on confirm, after training again", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.tick_params(axis="x", labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    labels = [f"{_NAMES[name]}, {full_runs} full runs" for name, full_runs in rows]
    panels[0].set_yticks(range(len(rows)), labels, fontsize=9)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _draw(axes: Axes, y: int, gains: list[float], *, is_ours: bool) -> None:
    """Draw a dot for each search, and a line at their mean."""
    if not gains:
        return
    color = _OURS if is_ours else _OTHERS
    offsets = np.linspace(-_SPREAD, _SPREAD, len(gains)) if len(gains) > 1 else np.zeros(1)
    axes.scatter(gains, y + offsets, s=14, color=color, alpha=0.8, linewidths=0)
    axes.plot([np.mean(gains)] * 2, [y - 0.4, y + 0.4], color=color, linewidth=2)


if __name__ == "__main__":
    main(tyro.cli(Options))
