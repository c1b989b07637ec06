"""What is printed at the end of a search."""

from __future__ import annotations

import shlex

from search.log.folder import SearchFolder
from search.log.leaderboard import leaderboard
from search.log.trial import TrialRecord
from search.report.best import BEST


def summary(
    folder: SearchFolder, units: int, trials: list[TrialRecord], winner: TrialRecord | None
) -> str:
    """Return the first ten of the leaderboard, and the commands to type next.

    Args:
        folder: Folder of the search.
        units: Units of a full run.
        trials: All trials of the search.
        winner: The best of them, or None where no trial finished a unit.
    """
    lines = ["rank trial units  score   sst     para    sts     status"]
    for rank, trial in enumerate(leaderboard(trials)[:10], start=1):
        cells = [trial.last.get(key) for key in ("score", "sst_acc", "para_acc", "sts_corr")]
        numbers = " ".join(f"{v:7.4f}" if v is not None else "      -" for v in cells)
        lines.append(f"{rank:4} {trial.number:5} {trial.units:3}/{units} {numbers}  {trial.status}")
    if winner is None:
        return "\n".join([*lines, "", "no trial finished a unit; see the errors above"])
    local = folder.local  # neither command reads a bucket
    lines += [
        "",
        f"  tensorboard --logdir {shlex.quote(str(local))}",
        f"  python search/retrain.py {shlex.quote(str(local / BEST))} --seeds 3",
    ]
    if any(trial.status in ("interrupted", "paused") for trial in trials):
        lines.append(f"  the same command with --name {shlex.quote(folder.name)} --resume goes on")
    return "\n".join(lines)
