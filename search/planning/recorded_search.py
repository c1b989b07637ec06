"""The newest finished search like this one, which says what units take before any is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.log.checked_line import parse_line
from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.plan import Plan
from search.planning.unit_times import KnownBefore, recorded_before
from trainable.errors import InputError

_MOST_LOGS = 50  # newest first
_MOST_BYTES = 20_000_000  # of a log: a larger one takes seconds to read


def recorded_search(plan: Plan, cpus: float, gpus: float) -> KnownBefore | None:
    """Return what the newest finished search with the same encoder, data and slots recorded.

    Only a storage on this machine is looked at. A log that cannot be read says nothing, since it is
    none of this search.

    Args:
        plan: Its storage, encoder, precision and data count.
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial.
    """
    if plan.folder.is_copied:
        return None
    wanted = {
        "encoder": plan.options.encoder,
        "precision": plan.options.precision,
        "data_fingerprint": plan.data_fingerprint,
        "cpus": cpus,
        "gpus": gpus,
    }
    logs = Path(plan.folder.storage).glob(f"*/{EVENTS}")
    others = [log for log in logs if log.parent != plan.folder.local]
    for log in sorted(others, key=lambda path: -path.stat().st_mtime)[:_MOST_LOGS]:
        try:
            if log.stat().st_size > _MOST_BYTES or _kind(log) != wanted:
                continue
            history = History(read_events(log))
        except (InputError, OSError, ValueError):
            continue
        tokens = plan.budget / plan.options.units
        known = recorded_before(history, tokens, f"search {log.parent.name}")
        if known is not None and history.closed is not None:
            return known
    return None


def _kind(log: Path) -> dict[str, Any]:
    """Return from the first line of a log what has to be alike."""
    with log.open("rb") as file:
        first = parse_line(file.readline().rstrip(b"\n"))
    options = first.get("options", {})
    own = {name: options.get(name) for name in ("encoder", "precision")}
    return own | {name: first.get(name) for name in ("data_fingerprint", "cpus", "gpus")}
