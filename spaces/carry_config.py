"""A configuration of other tasks, another encoder or another budget, as params of a space."""

from __future__ import annotations

from spaces.params import nearest_value, rebuild
from spaces.space import Space
from trainable.component import Domain, Value
from trainable.run_config import RunConfig
from trainable.tasks import TaskName, Tasks


def params_like(space: Space, config: RunConfig) -> dict[str, Value]:
    """Return the params of a space with which a run is as much as possible like a configuration.

    A task has what the task with its name has there, or else the first one of its kind. What is
    not there stays as in the base of the space, and values move to the nearest in their ranges.
    """
    theirs = Space("any", config, ("*",)).params_of(config)
    like = _like(space.base.data.table, config.data.table)

    def choose(name: str, domain: Domain, current: Value) -> Value:
        if not space.varies(name):
            return space.fixed.get(name, current)
        task, dot, rest = name.partition(".")
        there = f"{like[task]}{dot}{rest}" if task in like else name
        return nearest_value(space.narrowed.get(name, domain), theirs.get(there, current))

    return space.params_of(rebuild(space.base, choose))


def _like(ours: Tasks, theirs: Tasks) -> dict[TaskName, TaskName]:
    """Return task -> the task there that it is like; those without one are left out."""
    found: dict[TaskName, TaskName] = {}
    for name, task in ours.items():
        same_kind = [other for other, own in theirs.items() if own.kind == task.kind]
        if same_kind:
            found[name] = name if name in same_kind else same_kind[0]
    return found
