"""Walk the tree of a RunConfig's components and name every hyperparameter in it.

The search space is not written down anywhere: it is read from the models. A field with a range is
a param; a field that holds one of several components is a param too, the `kind`, and the
hyperparameters of the chosen component exist only under it:

    para.pair                     joint | siamese | cosine
    para.pair.joint.head          linear | mlp
    para.pair.joint.head.mlp.width
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic.fields import FieldInfo

from trainable.component import Choice, Component, Domain, Value, domain_from_json
from trainable.run_config import RunConfig

Choose = Callable[[str, Domain, Value], Value]


@dataclass(frozen=True)
class Param:
    """One hyperparameter that could be searched.

    Attributes:
        name: Its dotted name.
        domain: Its range.
        parents: The (name, kind) pairs under which it exists; empty if it always does.
    """

    name: str
    domain: Domain
    parents: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that the log of a search keeps under the param's name.

        For example `{"type": "int", "low": 1, "high": 4, "parents": [["sst.pooling", "layers"]]}`:
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


def field_domain(field: FieldInfo) -> Domain | None:
    """Return the range beside a field, or None."""
    domains = [m for m in field.metadata if isinstance(m, Domain)]
    return domains[0] if domains else None


def field_family(field: FieldInfo) -> dict[str, type[Component]]:
    """Return kind -> model for a field that holds one of several components, else nothing."""
    members = get_args(field.annotation)
    # Data sources have kinds, too, but are not components, because a search does not vary them.
    if field.discriminator != "kind" or not all(issubclass(m, Component) for m in members):
        return {}
    return {model.model_fields["kind"].default: model for model in members}


def field_component(field: FieldInfo) -> type[Component] | None:
    """Return the model of a field that holds one component of a fixed kind, or that or None."""
    for model in (field.annotation, *get_args(field.annotation)):
        if isinstance(model, type) and issubclass(model, Component):
            return model
    return None


def rebuild(config: RunConfig, choose: Choose) -> RunConfig:
    """Return a copy of a RunConfig in which each hyperparameter is what `choose` returns.

    Args:
        config: Gives the current values.
        choose: Called as `choose(name, domain, current value)`, parents before their children.

    Raises:
        ValueError: A value is outside the bounds of its field.
        KeyError: A value names no component of its family.
    """
    return _rebuild(config, "", choose)  # type: ignore[return-value]


def _rebuild(model: Component, path: str, choose: Choose) -> Component:
    values: dict[str, Any] = {}
    for name, domain, family in _fields(type(model)):
        here = f"{path}.{name}" if path else name
        values[name] = _rebuild_field(domain, family, getattr(model, name), here, choose)
    return type(model)(**values)


@cache
def _fields(
    model: type[Component],
) -> tuple[tuple[str, Domain | None, dict[str, type[Component]]], ...]:
    """Return name, range and family of each field, looked up once for all trials."""
    return tuple(
        (name, field_domain(field), field_family(field))
        for name, field in model.model_fields.items()
    )


def _rebuild_field(
    domain: Domain | None,
    family: dict[str, type[Component]],
    value: Any,
    here: str,
    choose: Choose,
) -> Any:
    if domain is not None:
        return choose(here, domain, value)
    if family:
        kind = str(choose(here, Choice(tuple(sorted(family))), value.kind))
        chosen = value if kind == value.kind else family[kind]()
        return _rebuild(chosen, f"{here}.{kind}", choose)
    if isinstance(value, Component):
        return _rebuild(value, here, choose)
    return value


def all_params(config: RunConfig) -> tuple[Param, ...]:
    """Return every hyperparameter of every component that a RunConfig could hold."""
    return tuple(_params(type(config), config, "", ()))


def _params(
    model: type[Component],
    example: Component | None,
    path: str,
    parents: tuple[tuple[str, str], ...],
) -> Iterator[Param]:
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        domain, family = field_domain(field), field_family(field)
        value = getattr(example, name, None)
        if domain is not None:
            yield Param(here, domain, parents)
        elif family:
            yield Param(here, Choice(tuple(sorted(family))), parents)
            for kind, member in sorted(family.items()):
                yield from _params(member, None, f"{here}.{kind}", (*parents, (here, kind)))
        # A stage that is None in the example adds no params.
        elif (component := field_component(field)) and (example is None or value is not None):
            yield from _params(component, value, here, parents)
