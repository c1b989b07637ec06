"""In what a trial differs from the default, the most important params first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.log.trial import TrialRecord
from search.report.importance import Importance
from spaces.params import Param

NOT_THERE = "–"  # of a param that exists only under another choice


@dataclass(frozen=True)
class Difference:
    """One param that has another value.

    Attributes:
        name: Of the param, or the path of a field of the RunConfig for a row.
        default: Its value in the default.
        own: Its value in the trial.
    """

    name: str
    default: str
    own: str


def differences(
    default: TrialRecord,
    trial: TrialRecord,
    params: Sequence[Param],
    ranking: Sequence[Importance] = (),
) -> list[Difference]:
    """Return what is different: measured importance first, then choices before what they bring."""
    before, now = values(default), values(trial)
    places = {own.name: place for place, own in enumerate(ranking) if own.is_clear}
    parents = {param.name: param.parents for param in params}

    def key(name: str) -> tuple[int, int, str]:
        own = parents.get(name, ())
        top = own[0][0] if own else name
        return places.get(name, places.get(top, len(places))), len(own), name

    # What only the default has went with the choice that it belongs to, which is in the list.
    gone = set() if "row" in trial.params else before.keys() - now.keys()
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    names = [name for name in names if name not in gone]
    return [
        Difference(name, shown(before.get(name)), shown(now.get(name)))
        for name in sorted(names, key=key)
    ]


def values(trial: TrialRecord) -> dict[str, Any]:
    """Return the params of a trial; of a row, everything in its RunConfig but the seed."""
    return _leaves(trial.run_config) if "row" in trial.params else dict(trial.params)


def shown(value: object) -> str:
    """Return a value for people; a dash for one that is not there."""
    if value is None:
        return NOT_THERE
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return dotted path -> value, for everything in a RunConfig but its seed."""
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for name, own in value.items():
            if path or name != "seed":
                found |= _leaves(own, f"{path}.{name}" if path else str(name))
        return found
    return {path: value}
