"""The trials of a search in order of rank, and who leads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.log.trial import TrialRecord


def leaderboard(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return trials, best first: who leads, then by `TrialRecord.rank_key`."""
    ranked = sorted(trials, key=lambda trial: trial.rank_key, reverse=True)
    leader = lead(ranked).winner
    return sorted(ranked, key=lambda trial: trial is not leader)  # keeps the order of the others


@dataclass(frozen=True)
class Lead:
    """Who leads a search.

    Attributes:
        winner: The best trial; None where no trial reported a score.
        default: The default, if it has run to its end; else None.
        reason: A sentence where the order of scores alone does not explain who leads, or where
            nothing could be compared; else empty.
    """

    winner: TrialRecord | None
    default: TrialRecord | None
    reason: str = ""


def lead(trials: Sequence[TrialRecord]) -> Lead:
    """Return who leads: the default, until a finished trial beats it by more than the error.

    That is the standard error of the difference of their scores on *select*, as the log has it.
    Where finalists had more seeds, the leader after their last round leads.
    Where the default has not run to its end, or the log has no comparison (an older one), the trial
    with the highest `rank_key` leads.
    """
    able = [trial for trial in trials if trial.status != "failed" and trial.reports]
    best = max(able, key=lambda trial: trial.rank_key, default=None)
    defaults = [trial for trial in trials if trial.is_default]
    done = [trial for trial in defaults if trial.status == "done" and math.isfinite(trial.score)]
    if best is None or not done:
        return Lead(best, None, _unfinished(best, defaults))
    default = done[0]
    if raced := [trial for trial in able if trial.leads_race]:
        return Lead(raced[0], default, _after_race(raced[0], default))
    gain = best.gain
    if best is default or best.is_default:
        return Lead(default, default)
    name = f"the default (trial {default.number})"
    if gain is None or gain.default != default.number:
        return Lead(best, default, f"the log does not compare trial {best.number} with {name}")
    if gain.select > gain.select_error:
        return Lead(best, default)
    more = f"{name} leads: trial {best.number} scored {gain.select:.4f} more"
    if math.isnan(gain.select_error):
        return Lead(default, default, f"{more}, on too few examples to know the error")
    kind = "error" if gain.is_paired else "error of two scores without their predictions,"
    return Lead(default, default, f"{more}, within the {kind} of {gain.select_error:.4f}")


def _after_race(winner: TrialRecord, default: TrialRecord) -> str:
    if winner is default:
        return f"the default (trial {default.number}) leads: no finalist beat it over more seeds"
    return f"trial {winner.number} leads the finalists, over more seeds"


def _unfinished(best: TrialRecord | None, defaults: list[TrialRecord]) -> str:
    if best is None or not defaults:
        return ""
    own = defaults[0]
    return (
        f"the default (trial {own.number}, {own.status} after unit {own.units}) did not run to its "
        f"end, so that nothing could be compared with it"
    )


def gained(trials: Sequence[TrialRecord]) -> str:
    """Return a sentence: what was gained over the default on *confirm*; empty without a default."""
    found = lead(trials)
    if found.default is None or found.winner is None:
        return ""
    gain, verdict = found.winner.gain, found.winner.verdict
    if verdict is not None:
        return f"trial {found.winner.number}: {verdict.claim}"
    if found.winner.leads_race:
        return "the finalists are not done, so nothing is claimed yet"
    if found.winner is found.default:
        return "nothing was gained over the default"
    if gain is None or gain.confirm is None:
        return "what was gained over the default on confirm is not known"
    text = f"gained over the default on confirm: {gain.confirm:+.3f}"
    if gain.confirm_error is None:
        return f"{text} (one seed each)"
    kind = "" if gain.is_paired else ", and is of two scores without their predictions"
    counts = f"the error counts examples, not seeds{kind}"
    return f"{text} ± {gain.confirm_error:.3f} (one seed each; {counts})"
