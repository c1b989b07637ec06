"""The Pareto front over the tasks' metrics: what must be given up in one task for another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.log.trial import TrialRecord
from trainable.errors import InputError, did_you_mean
from trainable.metrics import metric_keys
from trainable.tasks import Tasks

_CONDITION = re.compile(r"\s*([A-Za-z0-9_]+)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")
_HOLDS = {
    ">=": lambda x, y: x >= y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    "<": lambda x, y: x < y,
}


def finished(trials: Sequence[TrialRecord], tasks: Tasks) -> list[TrialRecord]:
    """Return the trials that trained to the end and know the metrics of all tasks."""
    keys = metric_keys(tasks)
    return [t for t in trials if t.status == "done" and all(map(math.isfinite, _values(t, keys)))]


def _values(trial: TrialRecord, keys: Sequence[str]) -> list[float]:
    found = [trial.last.get(key) for key in keys]
    return [math.nan if value is None else value for value in found]


def front(trials: Sequence[TrialRecord], tasks: Tasks) -> list[TrialRecord]:
    """Return the finished trials that no other one beats in all tasks, in their order.

    One trial beats another if it is nowhere worse and somewhere better.
    """
    own = finished(trials, tasks)
    if not own:
        return []
    points = np.array([_values(trial, metric_keys(tasks)) for trial in own])  # (n, tasks)
    kept: list[int] = []
    for i in np.argsort(-points.sum(1), kind="stable"):  # only a point of a larger sum beats one
        better = points[kept]
        if not np.any((better >= points[i]).all(1) & (better > points[i]).any(1)):
            kept.append(int(i))
    return [own[i] for i in sorted(kept)]


@dataclass(frozen=True)
class TradeOff:
    """A trial of the front beside the best of the search.

    Attributes:
        trial: The trial.
        gains: Task -> its metric minus that of the best trial; 0 everywhere for that one itself.
    """

    trial: TrialRecord
    gains: dict[str, float]


def trade_offs(trials: Sequence[TrialRecord], tasks: Tasks) -> list[TradeOff]:
    """Return the front, each trial with what it gains and gives up against the first of it."""
    found = front(trials, tasks)
    keys = {name: task.metric_key for name, task in tasks.items()}
    return [
        TradeOff(
            trial,
            {
                name: float(trial.last[key] or 0.0) - float(found[0].last[key] or 0.0)
                for name, key in keys.items()
            },
        )
        for trial in found
    ]


@dataclass(frozen=True)
class Condition:
    """What a metric must be, such as `sts>=0.86`.

    Attributes:
        name: Of a task, or `score`.
        key: Key of the metric in reports.
        sign: `>=`, `<=`, `>` or `<`.
        bound: What it is compared with.
    """

    name: str
    key: str
    sign: str
    bound: float

    def holds(self, trial: TrialRecord) -> bool:
        """Return whether a trial fulfils it."""
        return bool(_HOLDS[self.sign](_values(trial, [self.key])[0], self.bound))

    def shortfall(self, trial: TrialRecord) -> float:
        """Return by how much a trial misses it; 0 where it is fulfilled."""
        return 0.0 if self.holds(trial) else abs(_values(trial, [self.key])[0] - self.bound)


def conditions(text: str, tasks: Tasks) -> list[Condition]:
    """Read conditions with commas between them, such as `sts>=0.86,sst>0.5`.

    Raises:
        InputError: A condition cannot be read, or names no task.
    """
    keys = {"score": "score"} | {name: task.metric_key for name, task in tasks.items()}
    keys |= {task.metric_key: task.metric_key for task in tasks.values()}
    found = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part)
        try:
            bound = float(match[3]) if match else math.nan
        except ValueError:
            bound = math.nan
        if match is None or not math.isfinite(bound):
            raise InputError(
                f"--pick: {part.strip()!r} is no condition; give a task, one of >=, >, <= and <, "
                f"and a number, with commas between several, such as 'score>=0.6,{list(keys)[1]}>0'"
            )
        if match[1] not in keys:
            near = did_you_mean(match[1], list(keys))
            raise InputError(
                f"--pick: there is no task {match[1]!r}; give one of {', '.join(keys)}{near}"
            )
        found.append(Condition(match[1], keys[match[1]], match[2], bound))
    return found


def pick(trials: Sequence[TrialRecord], tasks: Tasks, text: str) -> TrialRecord:
    """Return the finished trial with the best score on *select* that fulfils all conditions.

    Raises:
        InputError: The conditions cannot be read, or no finished trial fulfils them.
    """
    asked, own = conditions(text, tasks), finished(trials, tasks)
    if not own:
        raise InputError("--pick: no trial has finished yet; wait for one, or resume the search")
    fitting = [t for t in own if all(condition.holds(t) for condition in asked)]
    if fitting:
        return max(fitting, key=lambda trial: trial.rank_key)
    near = min(own, key=lambda t: (sum(c.shortfall(t) for c in asked), -t.score))
    has = ", ".join(f"{c.name} {near.last[c.key]:.4f}" for c in dict.fromkeys(asked))
    raise InputError(
        f"--pick {text}: none of {len(own)} finished trials fulfils it; the nearest is trial "
        f"{near.number} with {has}; ask for less"
    )
