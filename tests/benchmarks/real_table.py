"""The tables of real searches: means, paired differences to ours, and falls below the default."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tests.benchmarks.real_contestants import OURS
from tests.benchmarks.search_quality import holm
from trainable.cache.files import reading, write_text

Result = dict[str, Any]  # a file of real_search.py
_Row = dict[int, dict[str, Any]]  # seed -> reading


def read_results(folder: Path) -> list[Result]:
    """Return what is there, in the order of the names."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def read_lines(path: Path) -> list[Result]:
    """Return what `write_results` wrote.

    Raises:
        InputError: The file cannot be read.
    """
    with reading(path):
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write a line for each result, in the order of settings, contestants and seeds.

    It has no configurations of winners: those in the results are 100 lines long.
    """
    lines = []
    for own in sorted(results, key=lambda r: (r["setting"], r["contestant"], r["seed"])):
        readings = [
            {key: value for key, value in reading.items() if key != "run_config"}
            for reading in own["readings"]
        ]
        lines.append(json.dumps({**own, "readings": readings}, allow_nan=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def tables(results: Iterable[Result]) -> str:
    """Return a table for each setting."""
    by_setting: dict[str, dict[str, _Row]] = defaultdict(lambda: defaultdict(dict))
    for result in results:
        for own in result["readings"]:
            name = result["contestant"]
            name = name if name.startswith("ours") else f"{name}, {own['full_runs']} runs"
            by_setting[result["setting"]][name][result["seed"]] = own
    return "\n\n".join(table(name, rows) for name, rows in by_setting.items())


def table(setting: str, rows: dict[str, _Row]) -> str:
    """Return the table of one setting.

    Args:
        setting: Its name.
        rows: Contestant -> seed -> reading. Seeds that ours or another lacks are left out of their
            difference.
    """
    noise = default_noise(rows)
    others = sorted(name for name in rows if name != OURS)
    pairs = {name: _pairs(rows.get(OURS, {}), rows[name]) for name in others}
    p: dict[str, float] = {}
    for is_own in (False, True):  # two questions: others' searches, and parts and budgets of ours
        family = [name for name in others if name.startswith("ours") == is_own]
        p |= zip(family, holm([_p(pairs[name]) for name in family]), strict=True)
    lines = [
        f"{setting}: scores on confirm of winners that were trained again; `{OURS} better by` has "
        f"95 % intervals over seeds and p by paired t-tests with Holm's correction, over others' "
        f"searches and over ours; the default's "
        f"own standard deviation over seeds is {noise:.4f}",
        "",
        f"| contestant | seeds | score | gain over the default | {OURS} better by | p "
        "| default won | below it by > 1 sd | by > 2 sd |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [own for own in (OURS, *others) if own in rows]:
        own = list(rows[name].values())
        gains = np.array([r["gain"] for r in own])
        better = "" if name == OURS else f"{_interval(pairs[name])} | {_shown(p[name])}"
        # Both runs of a difference have the noise.
        falls = [sum(gains < -k * np.sqrt(2) * noise) for k in (1, 2)]
        lines.append(
            f"| {name} | {len(own)} | {np.mean([r['confirm'] for r in own]):.4f} "
            f"| {_interval(gains)} | {better or ' | '} | {sum(r['is_default'] for r in own)} "
            f"| {falls[0]} | {falls[1]} |"
        )
    return "\n".join(lines)


def default_noise(rows: dict[str, _Row]) -> float:
    """Return the standard deviation of the default's score over seeds; NaN for one seed."""
    scores = {seed: r["default"] for own in rows.values() for seed, r in own.items()}
    return float(np.std(list(scores.values()), ddof=1)) if len(scores) > 1 else float("nan")


def _pairs(ours: _Row, other: _Row) -> np.ndarray:
    return np.array([ours[s]["confirm"] - other[s]["confirm"] for s in sorted(ours) if s in other])


def _p(differences: np.ndarray) -> float:
    if len(differences) < 2 or not differences.any():
        return 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _interval(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():+.4f}" if len(values) else ""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():+.4f} ± {half:.4f}"


def _shown(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}"
