"""Compare searchers and schedulers on learning curves that others recorded.

    python tests/benchmarks/others_curves.py --out OUT [--data FOLDER] [--repeats 100]

Whole searches are replayed with the real searchers, schedulers and dispatcher on the tables of
others_tables.py. What a searcher suggests becomes the nearest recorded configuration that was not
tried yet, and this one is what the history holds: so every searcher learns of what really ran,
none has to be changed, and none can propose anything else. (Random draws that are mapped in this
way are as good as draws of recorded configurations: the best of 8 has a regret of .47 and .45 on
`deberta`.)

The regret of a search is that of its leader when the budget is spent. `default` is one of the five
configurations nearest to what a textbook recommends, another one in each repeat; a misleading one
is drawn from the worse half. A prior is a normal distribution around the default with the usual
spread. A portfolio is chosen on the other tables of its kind. Repeats are
paired: all contestants have the same default, seed and times of units. Intervals are 95 % of
Student's t.

Results are kept in OUT/results.jsonl, and a second call goes on where the first one stopped. The
table and the picture are made of all that is there.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.progress import track
from scipy import stats

from search.report.figures import save
from tests.benchmarks.others_replay import CONTESTANTS, Replayer
from tests.benchmarks.others_tables import DEBERTA, NMTLC, TASKSETS, CurveTable, read_others

REPOSITORY = Path(__file__).resolve().parents[2]
# What is said of several tables together.
GROUPS = {"deberta": (DEBERTA,), "taskset": TASKSETS, "nmtlc": NMTLC}

_Key = tuple[str, str, int]  # table, contestant, budget


@dataclass(frozen=True)
class Options:
    """Replay searches on the curves of others."""

    out: Path
    """Folder for results.jsonl, table.md and curves.png."""

    data: Path = Path(os.environ.get("MTBERT_SHARED", REPOSITORY.parent / "shared")) / "data/curves"
    """Folder with the recorded curves."""

    repeats: int = 100
    """Searches of each contestant with each budget in each group of tables."""

    budgets: tuple[int, ...] = (4, 8, 16, 32)
    """Budgets in full runs."""

    groups: tuple[str, ...] = tuple(GROUPS)
    """Groups of tables."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    """Who takes part."""


def main(options: Options) -> None:
    """Replay what is missing, and write the table and the picture."""
    for given, known in ((options.groups, GROUPS), (options.contestants, CONTESTANTS)):
        if unknown := set(given) - set(known):
            sys.exit(f"error: {min(unknown)!r} is unknown; choose from {', '.join(known)}")
    if not options.data.is_dir():
        sys.exit(f"error: no folder {options.data}; give the folder of the curves with --data")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.jsonl"
    for group in options.groups:
        tables = [read_others(options.data, name) for name in GROUPS[group]]
        _replay_missing(path, tables, options)
    found = read_results(path)
    text = "\n\n".join(table_of(found, group) for group in GROUPS)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    save(picture(found), options.out / "curves.png")


def _replay_missing(path: Path, tables: list[CurveTable], options: Options) -> None:
    known = {key: set(own) for key, own in read_results(path).items()}
    todo = [
        (table, name, budget, seed)
        for seed in range(-(-options.repeats // len(tables)))
        for name in options.contestants
        for budget in options.budgets
        for table in tables
        if CONTESTANTS[name].takes_part(table, tables)
        and seed not in known.get((table.name, name, budget), ())
    ]
    replayer = Replayer(tables)
    with path.open("a", encoding="utf-8") as file:
        for table, name, budget, seed in track(todo, tables[0].name, transient=True):
            regret = replayer.regret(table, name, seed, budget)
            row = {"table": table.name, "contestant": name, "budget": budget, "seed": seed}
            file.write(json.dumps(row | {"regret": regret}) + "\n")
            file.flush()


def read_results(path: Path) -> dict[_Key, dict[int, float]]:
    """Return seed -> regret, for each table, contestant and budget."""
    found: dict[_Key, dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        row = json.loads(line)
        key = row["table"], row["contestant"], row["budget"]
        found.setdefault(key, {})[row["seed"]] = row["regret"]
    return found


def regrets_of(
    found: dict[_Key, dict[int, float]], group: str, contestant: str, budget: int
) -> dict[tuple[str, int], float]:
    """Return (table, seed) -> regret, over the tables of a group."""
    return {
        (table, seed): regret
        for table in GROUPS[group]
        for seed, regret in found.get((table, contestant, budget), {}).items()
    }


def table_of(found: dict[_Key, dict[int, float]], group: str) -> str:
    """Return a table of the mean regrets of a group, a column for each budget."""
    budgets = sorted({budget for table, _, budget in found if table in GROUPS[group]})
    lines = [
        f"| {group} | " + " | ".join(f"{budget} full runs" for budget in budgets) + " |",
        "|---" * (len(budgets) + 1) + "|",
    ]
    for name in CONTESTANTS:
        cells = [list(regrets_of(found, group, name, own).values()) for own in budgets]
        if any(cells):
            lines.append(f"| {name} | " + " | ".join(map(_interval, cells)) + " |")
    return "\n".join(lines)


def _interval(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):.3f} ± {half:.3f}"


def picture(found: dict[_Key, dict[int, float]]) -> Figure:
    """Plot the mean regret over the budget, with one panel for each group."""
    figure = Figure(figsize=(5 * len(GROUPS), 4), layout="constrained")
    panels = figure.subplots(1, len(GROUPS), squeeze=False)[0]
    for panel, group in zip(panels, GROUPS, strict=True):
        for name in CONTESTANTS:
            budgets = sorted({b for t, c, b in found if t in GROUPS[group] and c == name})
            means = [np.mean(list(regrets_of(found, group, name, b).values())) for b in budgets]
            if budgets:
                panel.plot(budgets, means, marker="o", markersize=3, label=name)
        panel.set(title=group, xlabel="budget in full runs", ylabel="regret", xscale="log")
        panel.set_xticks([4, 8, 16, 32], ["4", "8", "16", "32"])
    panels[0].legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
