"""What units took in an earlier search of the same encoder and data in equal slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.log.checked_line import parse_line
from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.planning.plan import Plan
from search.planning.unit_cost import UnitCost, recorded_cost
from trainable.errors import InputError

_MOST_LOGS = 20  # newest first
_MOST_BYTES = 10_000_000  # of a log: a larger one takes more than a second to read


def from_earlier_search(plan: Plan, slots: dict[str, float]) -> tuple[UnitCost, str] | None:
    """Return what a slot took in the newest search like this one, and the name of that search.

    Only a storage on this machine is looked at. A log that cannot be read says nothing.

    Args:
        plan: Its storage, encoder, precision and data count.
        slots: `slots`, `cpus` and `gpus`, as in the log's first line.
    """
    if plan.folder.is_copied:
        return None
    logs = [p for p in Path(plan.folder.storage).glob(f"*/{EVENTS}") if _is_readable(p, plan)]
    like = {
        "encoder": plan.options.encoder,
        "precision": plan.options.precision,
        "data_fingerprint": plan.data_fingerprint,
        **slots,
    }
    for log in sorted(logs, key=lambda path: -path.stat().st_mtime)[:_MOST_LOGS]:
        try:
            if _key(log) != like:
                continue
            history = History(read_events(log))
        except (InputError, OSError, ValueError):
            continue
        cost = recorded_cost(history.trials.values(), history.header["units"])
        if cost is not None:
            return cost, f"search {log.parent.name}"
    return None


def _is_readable(log: Path, plan: Plan) -> bool:
    return log.parent != plan.folder.local and log.stat().st_size <= _MOST_BYTES


def _key(log: Path) -> dict[str, Any]:
    """Return from the first line what has to be alike."""
    with log.open("rb") as file:
        first = parse_line(file.readline().rstrip(b"\n"))
    options = first.get("options", {})
    own = {name: options.get(name) for name in ("encoder", "precision")}
    names = ("data_fingerprint", "slots", "cpus", "gpus")
    return own | {name: first.get(name) for name in names}
