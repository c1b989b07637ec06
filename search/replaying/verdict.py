"""What replays of many schedulers come to: a table, and a sentence."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from search.replaying.candidates import Candidate, Outcome, Recording, candidates, replay
from search.replaying.curve_ends import CurveEnds

_BOUNDS = (0.05, 0.95)  # of a 90 % interval
_SURE = 0.05  # chance that any scheduler is called better although it is not


@dataclass(frozen=True)
class Replays:
    """Replays of one scheduler.

    Attributes:
        name: Its options.
        outcomes: One for each draw of an order and of the ends of curves.
    """

    name: str
    outcomes: list[Outcome]

    def scores(self, *, half: bool) -> np.ndarray:
        """Return (draws,) the scores of full runs of what was found."""
        return np.array([(own.half if half else own.whole).score for own in self.outcomes])


def compare(
    recording: Recording,
    own: Candidate,
    draws: int,
    seed: int,
    looked: Callable[[int], None] = lambda done: None,
) -> list[Replays]:
    """Replay every scheduler in as many orders, with as many draws of the ends of curves.

    All get the same orders and ends, so that differences between them are paired. The first row is
    the recorded search in its own order; its searcher is behind that.

    Args:
        recording: The recorded search.
        own: What it ran with.
        draws: Replays of each scheduler.
        seed: Of orders, ends and times.
        looked: Called with the number of draws that are done.
    """
    ends, asked = CurveEnds(recording.trials, recording.units), candidates(own)
    rows = [Replays(f"{own}, as it was", []), *(Replays(str(each), []) for each in asked)]
    default = [trial for trial in recording.trials if trial.is_default][:1]
    others = [trial for trial in recording.trials if trial not in default]
    for k in range(draws):
        curves = ends.draw(np.random.default_rng([seed, k]))
        order = [*default, *random.Random(f"{seed} order {k}").sample(others, len(others))]
        rows[0].outcomes.append(replay(own, recording, recording.trials, curves, k))
        for row, candidate in zip(rows[1:], asked, strict=True):
            row.outcomes.append(replay(candidate, recording, order, curves, k))
        looked(k + 1)
    return rows


def table(rows: Sequence[Replays], units: int, winner: int) -> str:
    """Return a line for each scheduler.

    Args:
        rows: From `compare`.
        units: Units of a full run.
        winner: Number of the trial that won the recorded search.
    """
    cells = [
        ["scheduler", "full runs", "after half: score (90 %)", "after all: score (90 %)", "winner"]
    ]
    for row in rows:
        spent = sum(own.spent for own in row.outcomes) / len(row.outcomes) / units
        found = [
            sum(leader.number == winner for leader in leaders) / len(row.outcomes)
            for leaders in ([o.half for o in row.outcomes], [o.whole for o in row.outcomes])
        ]
        scores = [_interval(row.scores(half=half)) for half in (True, False)]
        cells.append([row.name, f"{spent:.1f}", *scores, " / ".join(f"{f:.0%}" for f in found)])
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _interval(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "nothing"
    low, high = np.quantile(known, _BOUNDS)
    return f"{known.mean():.4f} ({low:.4f} to {high:.4f})"


def conclusion(rows: Sequence[Replays], budget: float) -> str:
    """Return what was found out, in a sentence.

    Another scheduler is called better if its advantage over what the search ran with is above 0 in
    all but 5 % of the draws, shared out among all that are compared (Bonferroni).

    Args:
        rows: From `compare`: the search as it was, what it ran with, then the others.
        budget: Full runs that the recorded search spent.
    """
    own, others = rows[1], rows[2:]
    if not others:
        return "There is nothing to compare: a run of so few units has no rung."
    best = max(others, key=lambda row: float(np.nan_to_num(row.scores(half=True)).mean()))
    gain = best.scores(half=True) - own.scores(half=True)
    gain = gain[np.isfinite(gain)]
    if not len(gain):
        return "Replay cannot tell: nothing was found for half the budget."
    low, high = np.quantile(gain, _BOUNDS)
    sure = float(np.quantile(gain, _SURE / len(others), method="lower")) > 0
    verdict = "that is better" if sure else "no difference was shown"
    if gain.mean() <= 0:
        verdict = "none of the others found more"
    return (
        f"For half of what was spent ({budget / 2:.1f} full runs), {best.name} found most of the "
        f"others, {gain.mean():+.4f} ({low:+.4f} to {high:+.4f}) compared with {own.name}: "
        f"{verdict}."
    )


def tells(ends: CurveEnds, least: int) -> str:
    """Return why a replay cannot tell anything, or nothing."""
    n_full = len(ends.full)
    if n_full >= least or (n_full and not ends.n_drawn):
        return ""
    return (
        f"replay cannot tell: only {n_full} of {n_full + ends.n_drawn} trials ran to the end, and "
        f"{least} are needed to guess how the others would have gone on; a larger search, or one "
        f"with --audit 0.2, has more"
    )
