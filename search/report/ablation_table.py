"""The end of `--space ablation`: each exchanged component beside the base, with a test.

All rows run with the same seeds, so rows and seeds form a randomised block design. The difference
of a row to the base is the mean over seeds of its score minus the base's. Its standard error comes
from what is left of the scores when the means of rows and seeds are taken off, over all rows
together, with (rows - 1) (seeds - 1) degrees of freedom: two or three seeds of one row alone would
say next to nothing about noise. Rows that lack a seed have a mean and no test. The p-values of
Student's t are corrected for the number of rows that were tested.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from search.report.logged_search import LoggedSearch

BASE = "base"
LEVEL = 0.05  # at which a difference is significant, over all rows together
FILE = "ablation.csv"
_COLUMNS = ("row", "runs", "of", "mean", "stdev", "difference", "error", "p", "p_holm", "seconds")


@dataclass(frozen=True)
class AblationRow:
    """Our runs of one row.

    Attributes:
        name: Of the row.
        n_runs: Runs that trained to the end.
        n_asked: Runs that were asked for.
        n_stopped: Runs that a rung stopped or paused.
        mean: Of the score on *confirm*; NaN without a run.
        stdev: Over seeds; NaN for fewer than two.
        difference: Mean over seeds of the score minus that of the base; NaN if they share none.
        error: Standard error of the difference; NaN where it cannot be known.
        p: Of the difference, two-sided, uncorrected; NaN without an error, and for the base.
        p_holm: The same after Holm's correction.
        seconds: Mean seconds that a run held its slot.
    """

    name: str
    n_runs: int
    n_asked: int
    n_stopped: int
    mean: float
    stdev: float
    difference: float
    error: float
    p: float
    p_holm: float
    seconds: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `no difference shown`, or why nothing can be said."""
        if self.name == BASE:
            return ""
        if not self.n_runs:
            return "no full run"
        if math.isnan(self.p_holm):
            return "not tested"
        if self.p_holm > LEVEL:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


def ablation_rows(search: LoggedSearch) -> list[AblationRow]:
    """Return the base and then the other rows, the best first; none for another space."""
    if search.history.header["options"].get("space") != "ablation":
        return []
    scores, seconds = _runs(search)
    stopped = _stopped(search)
    names: list[str] = list(search.history.header["space"]["row"]["values"])
    repeats = search.history.header["options"]["repeats"]
    base = scores.get(BASE, {})
    whole = [name for name in names if base and scores.get(name, {}).keys() == base.keys()]
    error, degrees = _noise([list(_in_order(scores[name])) for name in whole])
    rows = []
    for name in names:
        own = scores.get(name, {})
        shared = [own[seed] - base[seed] for seed in own if seed in base]
        difference = statistics.fmean(shared) if shared else math.nan
        tested = name in whole and name != BASE and error > 0
        p = float(2 * stats.t.sf(abs(difference) / error, degrees)) if tested else math.nan
        rows.append(
            AblationRow(
                name=name,
                n_runs=len(own),
                n_asked=repeats,
                n_stopped=stopped[name],
                mean=statistics.fmean(own.values()) if own else math.nan,
                stdev=statistics.stdev(own.values()) if len(own) > 1 else math.nan,
                difference=difference,
                error=error if tested else math.nan,
                p=p,
                p_holm=math.nan,
                seconds=statistics.fmean(seconds[name]) if name in seconds else math.nan,
            )
        )
    return sorted(_corrected(rows), key=_order)


def _order(row: AblationRow) -> tuple[bool, bool, float]:
    return row.name != BASE, math.isnan(row.mean), -row.mean if row.n_runs else 0.0


def _in_order(by_seed: dict[int, float]) -> list[float]:
    return [by_seed[seed] for seed in sorted(by_seed)]


def _runs(search: LoggedSearch) -> tuple[dict[str, dict[int, float]], dict[str, list[float]]]:
    """Return row -> repeat -> score on *confirm* of full runs, and row -> seconds of each."""
    scores: dict[str, dict[int, float]] = {}
    seconds: dict[str, list[float]] = {}
    for trial in search.history.trials.values():
        score = trial.last.get("confirm_score")
        if trial.status == "done" and score is not None:
            row, repeat = str(trial.params["row"]), int(trial.params["repeat"])
            scores.setdefault(row, {})[repeat] = score
            seconds.setdefault(row, []).append(trial.slot_seconds)
    return scores, seconds


def _stopped(search: LoggedSearch) -> Counter[str]:
    """Return row -> runs that a rung stopped, or paused and never let on."""
    return Counter(
        str(trial.params["row"])
        for trial in search.history.trials.values()
        if trial.status in ("stopped", "paused")
    )


def _noise(scores: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the standard error of the difference of two rows' means, and degrees of freedom.

    Args:
        scores: (rows, seeds); NaN and 0 come back for fewer than two of either.
    """
    table = np.array(scores, float)
    if table.ndim < 2 or min(table.shape) < 2:
        return math.nan, 0
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float(np.sqrt(2 * np.sum(rest**2) / degrees / table.shape[1])), degrees


def _corrected(rows: list[AblationRow]) -> list[AblationRow]:
    """Return the rows with Holm's p-values."""
    order = sorted((row.p, place) for place, row in enumerate(rows) if not math.isnan(row.p))
    corrected, largest = dict.fromkeys(range(len(rows)), math.nan), 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[place] = largest
    return [
        AblationRow(**{**vars(row), "p_holm": corrected[place]}) for place, row in enumerate(rows)
    ]


def ablation_csv(rows: Sequence[AblationRow]) -> str:
    """Return the rows as CSV; what is not known is empty."""
    output = io.StringIO(newline="")
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([*_COLUMNS, "verdict"])
    for row in rows:
        numbers = (row.mean, row.stdev, row.difference, row.error, row.p, row.p_holm, row.seconds)
        cells = ["" if math.isnan(value) else f"{value:.6g}" for value in numbers]
        writer.writerow([row.name, row.n_runs, row.n_asked, *cells, row.verdict])
    return output.getvalue()


def ablation_text(rows: Sequence[AblationRow]) -> str:
    """Return the rows for a terminal."""
    width = max(len(row.name) for row in rows)
    head = f"{'row':{width}}  runs    mean  stdev   difference to base  p (Holm)  seconds"
    lines = ["ablation, score on confirm:", head]
    for row in rows:
        mean, stdev = shown(row.mean, ".4f"), shown(row.stdev, ".4f")
        error = "" if math.isnan(row.error) else f" +- {row.error:.4f}"
        gain = "" if row.name == BASE else f"{shown(row.difference, '+.4f')}{error}"
        lines.append(
            f"{row.name:{width}}  {row.n_runs}/{row.n_asked:<3} {mean:>6} {stdev:>6}"
            f"  {gain:>19} {p_value(row.p_holm):>9} {shown(row.seconds, '.0f'):>8}"
            f"  {row.verdict}".rstrip()
        )
    return "\n".join([*lines, note(rows)])


def shown(value: float, form: str) -> str:
    """Return a number in a format, or a dash where it is not known."""
    return "-" if math.isnan(value) else format(value, form)


def p_value(value: float) -> str:
    """Return a p-value for people; a dash where there is none."""
    return "<0.001" if value < 0.001 else shown(value, ".3f")


def note(rows: Sequence[AblationRow]) -> str:
    """Return what the test is, or why there is none, and why rows have no full run."""
    n_stopped = sum(row.n_stopped > 0 and not row.n_runs for row in rows)
    if not n_stopped:
        return _test(rows)
    return (
        f"{_test(rows)}; rungs stopped {n_stopped} of {len(rows)} rows before their end, and only "
        f"full runs can be compared; a search with --scheduler none runs all of them"
    )


def _test(rows: Sequence[AblationRow]) -> str:
    n_tested = sum(not math.isnan(row.p) for row in rows)
    if n_tested:
        return (
            f"paired by seed; noise estimated over all rows together; significant at "
            f"{LEVEL:.0%} after Holm's correction for {n_tested} row{'s' * (n_tested > 1)}"
        )
    if rows[0].n_asked < 2:
        return "one seed says nothing about noise: give --repeats 3 for a test"
    return "no test: it needs two rows that finished with the same seeds as the base, two or more"
