"""Walk the tree of a RunConfig's components and name every hyperparameter in it.

The search space is not written down anywhere: it is read from the models. A field with a range is
a param; a field that holds one of several components is a param too, the `kind`, and the
hyperparameters of the chosen component exist only under it:

    qqp.pair                     joint | siamese | cosine
    qqp.pair.joint.head          linear | mlp
    qqp.pair.joint.head.mlp.width

The params of a task have its name in front. A number for each task is a param of its own:
`weighted.log_qqp`, `optimization.task_lr.qqp`. What the run has too few tasks for is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from spaces.component_fields import field_component, field_domain, field_family, field_prior
from trainable.component import (
    Choice,
    Component,
    Domain,
    Needs,
    PerTask,
    PriorSpread,
    PriorWeights,
    TaskSubset,
    Value,
    domain_from_json,
)
from trainable.run_config import RunConfig
from trainable.task_fields import mark_of, subset
from trainable.tasks import Tasks, task_subsets

Choose = Callable[[str, Domain, Value], Value]


@dataclass(frozen=True)
class Param:
    """One hyperparameter that could be searched.

    Attributes:
        name: Its dotted name.
        domain: Its range.
        parents: The (name, kind) pairs under which it exists; empty if it always does.
        mark: Where an expert looks first, if that stands beside the range. A log does not keep it.
    """

    name: str
    domain: Domain
    parents: tuple[tuple[str, str], ...]
    mark: PriorSpread | PriorWeights | None = field(default=None, compare=False)

    def exists_in(self, values: Mapping[str, Value]) -> bool:
        """Whether it exists, given at least the values of its parents."""
        return all(values.get(parent) == kind for parent, kind in self.parents)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that the log of a search keeps under the param's name.

        For example `{"type": "int", "low": 1, "high": 4, "parents": [["qqp.pooling", "layers"]]}`:
        the `to_json` of the domain, and the parents.
        """
        return {**self.domain.to_json(), "parents": [list(pair) for pair in self.parents]}


def param_from_json(name: str, fields: dict[str, Any]) -> Param:
    """Return the param with this name whose `to_json` these fields are."""
    parents = tuple((parent, kind) for parent, kind in fields["parents"])
    return Param(name, domain_from_json(fields), parents)


def value_of(params: Mapping[str, Value], name: str, domain: Domain) -> Value:
    """Return the value of one param.

    Args:
        params: Name -> value.
        name: Dotted name of the param.
        domain: The range in which its value has to be.

    Raises:
        KeyError: There is no value for it.
        ValueError: The value is outside the domain.
    """
    if name not in params:
        raise KeyError(f"no value for {name}; give {domain}")
    if not domain.contains(params[name]):
        raise ValueError(f"{name} is {params[name]}; give {domain}")
    return params[name]


def nearest_value(domain: Domain, value: Value) -> Value:
    """Return the value of a domain that is nearest to a value; a word has the first one."""
    if domain.contains(value):
        return value
    if not isinstance(domain, Choice):
        return domain.low if isinstance(value, str) or value < domain.low else domain.high
    numbers = [own for own in domain.values if not isinstance(own, str | bool)]
    if isinstance(value, str | bool) or not numbers:
        return domain.values[0]
    return min(numbers, key=lambda own: abs(own - value))


@dataclass(frozen=True)
class _Part:
    """What the walk has to know of a field, looked up once for all trials."""

    domain: Domain | None
    family: dict[str, type[Component]]
    mark: PerTask | TaskSubset | None
    prior: PriorSpread | PriorWeights | None
    needs: Needs

    @classmethod
    def of(cls, field: FieldInfo) -> _Part:
        needs = [m for m in field.metadata if isinstance(m, Needs)]
        return cls(
            field_domain(field),
            field_family(field),
            mark_of(field),
            field_prior(field),
            needs[0] if needs else Needs(),
        )

    def offered(self, tasks: Tasks) -> dict[str, type[Component]]:
        """Return the members of the family that make a difference to a run with these tasks."""
        return {kind: own for kind, own in sorted(self.family.items()) if own.needs.met_by(tasks)}


@cache
def _parts(model: type[Component]) -> tuple[tuple[str, FieldInfo, _Part], ...]:
    return tuple((name, field, _Part.of(field)) for name, field in model.model_fields.items())


def _per_task(mark: PerTask, path: str, tasks: Tasks) -> Iterator[tuple[str, str, float]]:
    """Yield task, name of its param, and default, for each task that has a number."""
    for task in mark.tasks(tasks):
        yield task.name, f"{path}.{mark.prefix}{task.name}", mark.default_of(task)


def rebuild(config: RunConfig, choose: Choose) -> RunConfig:
    """Return a copy of a RunConfig in which each hyperparameter is what `choose` returns.

    Args:
        config: Gives the current values.
        choose: Called as `choose(name, domain, current value)`, parents before their children.

    Raises:
        ValueError: A value is outside the bounds of its field.
        KeyError: A value names no component of its family.
    """
    return _rebuild(config, "", choose, config.data.table)  # type: ignore[return-value]


def _rebuild(model: Component, path: str, choose: Choose, tasks: Tasks) -> Component:
    values = {
        name: _rebuild_field(part, getattr(model, name), path, name, choose, tasks)
        for name, _, part in _parts(type(model))
    }
    return type(model)(**values)


def _rebuild_field(
    part: _Part, value: Any, path: str, name: str, choose: Choose, tasks: Tasks
) -> Any:
    here = f"{path}.{name}" if path else name
    if not part.needs.met_by(tasks):
        return value
    if part.domain is not None:
        return choose(here, part.domain, value)
    if isinstance(part.mark, TaskSubset):
        domain = Choice(task_subsets(tuple(tasks)))
        current = subset(value, tasks, here)
        return choose(here, domain, current) if len(tasks) > 1 else current
    if isinstance(part.mark, PerTask):
        return {
            task: choose(own, part.mark.domain, value.get(task, default))
            for task, own, default in _per_task(part.mark, path, tasks)
        }
    if part.family:
        offered = part.offered(tasks)
        kind = value.kind
        if len(offered) > 1:
            kind = str(choose(here, Choice(tuple(offered)), kind))
        chosen = value if kind == value.kind else part.family[kind]()
        return _rebuild(chosen, f"{here}.{kind}", choose, tasks)
    if isinstance(value, Component):
        return _rebuild(value, here, choose, tasks)
    if name == "tasks":  # of the RunConfig: the params of a task have its name in front
        return {task: _rebuild(own, task, choose, tasks) for task, own in value.items()}
    return value


def all_params(config: RunConfig) -> tuple[Param, ...]:
    """Return every hyperparameter of every component that a RunConfig could hold."""
    return tuple(_params(type(config), config, "", (), config.data.table))


Parents = tuple[tuple[str, str], ...]


def _params(
    model: type[Component], example: Component | None, path: str, parents: Parents, tasks: Tasks
) -> Iterator[Param]:
    for name, info, part in _parts(model):
        here = f"{path}.{name}" if path else name
        value = getattr(example, name, None)
        if not part.needs.met_by(tasks):
            continue
        if part.domain is not None:
            yield Param(here, part.domain, parents, part.prior)
        elif isinstance(part.mark, TaskSubset):
            if len(tasks) > 1:
                yield Param(here, Choice(task_subsets(tuple(tasks))), parents, part.prior)
        elif isinstance(part.mark, PerTask):
            for _, own, _ in _per_task(part.mark, path, tasks):
                yield Param(own, part.mark.domain, parents, part.prior)
        elif part.family:
            yield from _family_params(part, here, parents, tasks)
        elif name == "tasks" and isinstance(value, dict):
            for task, own_config in value.items():
                yield from _params(type(own_config), own_config, task, parents, tasks)
        # A stage that is None in the example adds no params.
        elif (component := field_component(info)) and (example is None or value is not None):
            yield from _params(component, value, here, parents, tasks)


def _family_params(part: _Part, here: str, parents: Parents, tasks: Tasks) -> Iterator[Param]:
    """Yield which member, and the params of each; a family of one is no choice."""
    offered = part.offered(tasks)
    if len(offered) > 1:
        yield Param(here, Choice(tuple(offered)), parents, part.prior)
    for kind, member in offered.items():
        above = (*parents, (here, kind)) if len(offered) > 1 else parents
        yield from _params(member, None, f"{here}.{kind}", above, tasks)
