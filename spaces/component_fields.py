"""What stands beside a field of a component: its range, its prior, its family."""

from __future__ import annotations

from typing import get_args

from pydantic.fields import FieldInfo

from trainable.component import Component, Domain, PriorSpread, PriorWeights


def field_domain(field: FieldInfo) -> Domain | None:
    """Return the range beside a field, or None."""
    domains = [m for m in field.metadata if isinstance(m, Domain)]
    return domains[0] if domains else None


def field_prior(field: FieldInfo) -> PriorSpread | PriorWeights | None:
    """Return where an expert looks first, if that stands beside a field, or None."""
    marks = [m for m in field.metadata if isinstance(m, PriorSpread | PriorWeights)]
    return marks[-1] if marks else None


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
