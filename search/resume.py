"""What a log says of its search at the start, and whether a search can be resumed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from search.events import VERSION, read_events
from search.plan import Plan
from search.storage import EVENTS
from search.versions import versions
from trainable.errors import InputError

# A search that went on with another of these would compare what cannot be compared, or would
# silently keep the old value.
_SAME_OPTIONS = (
    "encoder",
    "budget",
    "precision",
    "searcher",
    "scheduler",
    "seed",
    "trials",
    "warm_start",
    "rows",
    "text_data",
    "nli_data",
)


def header(plan: Plan) -> dict[str, Any]:
    """What a reader of the log needs to know about the search."""
    return {
        "version": VERSION,
        "options": asdict(plan.options),
        "rungs": list(plan.rungs),
        "units": plan.options.units,
        "space": {
            p.name: [str(p.domain), [list(c) for c in p.parents]] for p in plan.space.params()
        },
        "versions": versions(),
        "data_fingerprint": plan.data_fingerprint,
    }


def check_resumable(plan: Plan) -> None:
    """Refuse what Tune would silently start over.

    Raises:
        InputError: The log or Tune's state is missing or torn, or the search was another one.
    """
    events = read_events(plan.folder.local / EVENTS)
    if not events or events[0]["event"] != "search":
        raise InputError(
            f"--resume: {plan.folder.uri} was stopped before it began; start anew with another "
            f"--name"
        )
    then = events[0] | {key: events[0]["options"].get(key) for key in _SAME_OPTIONS}
    now: dict[str, Any] = header(plan)
    now |= {key: now["options"][key] for key in _SAME_OPTIONS}
    for key in ("space", "data_fingerprint", "rungs", *_SAME_OPTIONS):
        if then[key] != now[key]:
            raise InputError(
                f"--resume: {key} of {plan.folder.uri} was {_short(then[key])}, now it is "
                f"{_short(now[key])}; give the options that the search was started with, or start "
                f"another --name"
            )
    if plan.folder.is_remote:
        return
    states = sorted(plan.folder.local.glob("experiment_state-*.json"))
    if not states:
        raise InputError(
            f"--resume: {plan.folder.uri} was stopped before its first trial was saved; start anew "
            f"with another --name"
        )
    try:
        json.loads(states[-1].read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"--resume: {states[-1]} is not whole ({error})") from error


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
