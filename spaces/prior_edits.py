"""Put a user's own priors in place of those beside the ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spaces.edit_space import matching_names
from spaces.params import Param
from spaces.prior_file import PriorEdit
from spaces.priors import ChoicePrior, ParamPrior, Prior, choice_prior
from spaces.space import Space
from trainable.component import IntRange, PriorWeights, Value
from trainable.errors import InputError, did_you_mean


def edited_prior(space: Space, edits: Sequence[PriorEdit]) -> Prior:
    """Return the prior of a space with the entries of a file in place of what is beside ranges.

    Raises:
        InputError: A pattern matches nothing that varies; or an entry does not fit a param.
    """
    prior, params = Prior(space), {param.name: param for param in space.params()}
    replaced: dict[str, ParamPrior] = {}
    for edit in edits:
        for name in matching_names(edit.pattern, edit.origin, params):
            replaced[name] = _edited(edit, params[name], prior.of[name])
    return Prior(space, replaced)


def _edited(edit: PriorEdit, param: Param, prior: ParamPrior) -> ParamPrior:
    if isinstance(prior, ChoicePrior):
        return _choice(edit, param, prior)
    for key in edit.given:
        if key not in ("center", "spread"):
            raise InputError(
                f"{edit.origin}: {param.name} is a number from {param.domain}; give center and "
                f"spread, not {key}{did_you_mean(str(key), ('center', 'spread'))}"
            )
    center = edit.given.get("center", prior.center)
    is_number = isinstance(center, int | float) and not isinstance(center, bool)
    if not is_number or not prior.domain.contains(center):
        raise InputError(
            f"{edit.origin}: {param.name} cannot have its center at {center!r}; give a number of "
            f"{param.domain}, or widen the range by --range"
        )
    center = int(center) if isinstance(prior.domain, IntRange) else float(center)
    return replace(prior, center=center, spread=edit.given.get("spread", prior.spread))


def _choice(edit: PriorEdit, param: Param, prior: ChoicePrior) -> ChoicePrior:
    known = {_shown(value): value for value in prior.values}

    def member(given: Any) -> Value:
        if _shown(given) not in known:
            near = did_you_mean(_shown(given), known)
            raise InputError(
                f"{edit.origin}: {param.name} cannot be {_shown(given)}; known are "
                f"{', '.join(known)}{near}"
            )
        return known[_shown(given)]

    if "spread" in edit.given:
        raise InputError(
            f"{edit.origin}: {param.name} is one of {', '.join(known)}, which have no spread; give "
            f"weights, such as {{{next(iter(known))}: 3}}"
        )
    if "center" in edit.given:
        marked = param.mark.of if isinstance(param.mark, PriorWeights) else {}
        return choice_prior(prior.values, marked, member(edit.given["center"]))
    weights = {member(key): float(weight) for key, weight in edit.given.items()}
    if not any(weights.get(value, 1.0) for value in prior.values):
        raise InputError(f"{edit.origin}: all weights of {param.name} are 0; give one of them more")
    center = max(prior.values, key=lambda value: (weights.get(value, 1.0), value == prior.center))
    return choice_prior(prior.values, weights, center, center_share=0.0)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
