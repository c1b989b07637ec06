"""Fill in what a configuration says of each task, once it is known which tasks a run has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic.fields import FieldInfo

from trainable.component import Component, PerTask, TaskSubset
from trainable.errors import did_you_mean
from trainable.tasks import NLI, Tasks, nli_task

M = TypeVar("M", bound=Component)


def mark_of(field: FieldInfo) -> PerTask | TaskSubset | None:
    """Return the `PerTask` or `TaskSubset` beside a field, or None."""
    marks = [m for m in field.metadata if isinstance(m, PerTask | TaskSubset)]
    return marks[0] if marks else None


def fill_in(component: M, tasks: Tasks) -> M:
    """Return a component in which fields beside `PerTask` and `TaskSubset` name the run's tasks.

    Raises:
        ValueError: A field names a task that the run does not have, or no task.
    """

    def fill(name: str, mark: PerTask | TaskSubset, value: Any) -> Any:
        if isinstance(mark, TaskSubset):
            return subset(value, tasks, name)
        own = {task.name: value.get(task.name, mark.default_of(task)) for task in mark.tasks(tasks)}
        for key in value:
            if key in tasks and key not in own:
                raise ValueError(
                    f"{name}: {key!r} is the first task, to whose weight the others are relative; "
                    f"leave it out"
                )
            if key not in own:
                raise ValueError(f"{name}: {_unknown(key, own)}")
        return own

    return _changed(component, fill)


def with_nli(component: M, tasks: Tasks) -> M:
    """Return a component in which NLI batches have the numbers of the task that they help."""
    owner = nli_task(tasks)

    def copy(name: str, mark: PerTask | TaskSubset, value: Any) -> Any:
        if isinstance(mark, PerTask) and owner in value:
            return {**value, NLI: value[owner]}
        return value

    return _changed(component, copy)


def subset(chosen: str, tasks: Tasks, name: str) -> str:
    """Return a set of tasks as `a+b`, in the order of the run's tasks; `all` is all of them.

    Args:
        chosen: Names with `+` between them, or `all`.
        tasks: Of the run.
        name: Of the field, for messages.

    Raises:
        ValueError: One of the names is no task's, or stands there twice.
    """
    if chosen == "all":
        return "+".join(tasks)
    names = chosen.split("+")
    for own in names:
        if own not in tasks:
            raise ValueError(f"{name} is {chosen!r}: {_unknown(own, tasks)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{name} is {chosen!r}: name each task once")
    return "+".join(task for task in tasks if task in names)


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    """Say that a name is no task's, and which are."""
    tasks = ", ".join(known) or "none here"
    return f"{name!r} is no task; tasks: {tasks}{did_you_mean(name, known)}"


def _changed(component: M, change: Callable[[str, PerTask | TaskSubset, Any], Any]) -> M:
    """Return a copy with every marked field, at any depth, as `change(name, mark, value)` says."""
    changes: dict[str, Any] = {}
    for name, field in type(component).model_fields.items():
        value, mark = getattr(component, name), mark_of(field)
        if mark is not None:
            changes[name] = change(name, mark, value)
        elif isinstance(value, Component):
            changes[name] = _changed(value, change)
    return component.model_copy(update=changes) if changes else component
