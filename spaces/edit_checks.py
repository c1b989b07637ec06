"""Refuses changes of a space that no configuration could have: all raise `InputError`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from spaces.edit_values import shown
from spaces.edits import Edit, Edits
from spaces.params import Choose, Param, nearest_value, rebuild
from spaces.space import Space
from trainable.component import Choice, Domain, Value
from trainable.errors import InputError, did_you_mean


def check_once(edits: Iterable[Edit], matched: Mapping[Edit, list[str]]) -> None:
    """Refuse two values, ranges or choices for one hyperparameter."""
    first: dict[str, Edit] = {}
    for edit in edits:
        for name in matched[edit]:
            if name in first:
                raise InputError(
                    f"{edit.origin}: {name} is set already by {first[name].origin}; keep one of "
                    f"the two, or write a pattern that leaves it out"
                )
            first[name] = edit


def wrong_values(
    space: Space,
    edits: Iterable[Edit],
    matched: Mapping[Edit, list[str]],
    known: Mapping[str, Param],
) -> dict[str, str]:
    """Return name -> message, for each value that the field of its component does not take."""
    found: dict[str, str] = {}
    for edit in edits:
        for name in matched[edit]:
            for value in _extremes(space, known[name]):
                why = _why_not(space, {**dict(known[name].parents), name: value})
                if why and name not in found:
                    found[name] = (
                        f"{edit.origin}: {name} cannot be {shown(value)}: {why}; searched is "
                        f"{known[name].domain} by default"
                        f"{did_you_mean(str(value), _words(known[name].domain))}"
                    )
    return found


def check_bounds(
    space: Space,
    edits: Iterable[Edit],
    matched: Mapping[Edit, list[str]],
    wrong: Mapping[str, str],
) -> None:
    """Refuse wrong values, but those of what no suggestion has beside others of a pattern.

    Args:
        space: The space without the wrong values.
        edits: Those that give values.
        matched: Edit -> all names that its pattern matches.
        wrong: See `wrong_values`.
    """
    reached = {param.name for param in space.reachable}
    for edit in edits:
        has_others = not reached.intersection(matched[edit]) <= wrong.keys()
        for name in matched[edit]:
            if name in wrong and (name in reached or not has_others):
                raise InputError(wrong[name])


def _extremes(space: Space, param: Param) -> tuple[Value, ...]:
    """Return all values of a param that is fixed or has choices, else both ends of its range."""
    if not space.varies(param.name):
        return (space.fixed[param.name],) if param.name in space.fixed else ()
    domain = space.narrowed.get(param.name, param.domain)
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def _why_not(space: Space, values: Mapping[str, Value]) -> str | None:
    """Return why no configuration has these values together, or None."""

    def choose(name: str, domain: Domain, current: Value) -> Value:
        if name in values:
            return values[name]
        if not space.varies(name):
            return space.fixed.get(name, current)
        return nearest_value(space.narrowed.get(name, domain), current)

    if _builds(space, lambda name, _, current: values.get(name, current)):
        return None  # the base may stay as it is
    try:
        rebuild(space.base, choose)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        return (
            str(problem["msg"]).removeprefix("Value error, ").replace("Input should", "it should")
        )
    except KeyError:
        return "there is no such component"
    return None


def _builds(space: Space, choose: Choose) -> bool:
    try:
        rebuild(space.base, choose)
    except (KeyError, ValidationError):
        return False
    return True


def _words(domain: Domain) -> tuple[str, ...]:
    return tuple(map(str, domain.values)) if isinstance(domain, Choice) else ()


def check_reached(
    space: Space, edits: Edits, matched: Mapping[Edit, list[str]], known: Mapping[str, Param]
) -> None:
    """Refuse a change of what no suggestion has, and a space in which nothing varies."""
    reached = {param.name for param in space.reachable}
    varied = {name for name in reached if space.varies(name)}
    for edit in edits.vary:
        if not varied.intersection(matched[edit]):
            fixed = [name for name in matched[edit] if name in space.fixed and name in reached]
            raise InputError(
                f"{edit.origin}: lets nothing vary, since {fixed[0]} is fixed; drop one of the two"
                if fixed
                else f"{edit.origin}: {_unreached(space, known[matched[edit][0]])}"
            )
    for edit in (*edits.fix, *edits.range, *edits.choices):
        if not reached.intersection(matched[edit]):
            raise InputError(f"{edit.origin}: {_unreached(space, known[matched[edit][0]])}")
    if not varied:
        raise InputError(
            f"{edits.fix[-1].origin}: then nothing is left to vary; fix less, or train "
            f"the one configuration by `python -m trainable`"
        )


def _unreached(space: Space, param: Param) -> str:
    """Return why no suggestion has a param."""
    values = space.values_under(dict(pair for pair in param.parents if space.varies(pair[0])))
    for parent, kind in param.parents:
        if values[parent] != kind:
            return (
                f"{param.name} exists only where {parent} is {kind}, and here it is "
                f"{space.narrowed[parent] if space.varies(parent) else values[parent]}"
            )
    raise AssertionError(f"{param.name} can be reached")


def check_together(space: Space, names: set[str]) -> None:
    """Refuse values of two hyperparameters of a component that do not go together."""
    reached = space.reachable
    for param in reached:
        for other in reached if param.name in names else ():
            if other is param or _component(param) != _component(other):
                continue
            for first, second in _pairs(space, param, other):
                why = _why_not(
                    space, {**dict(param.parents), param.name: first, other.name: second}
                )
                if why:
                    raise InputError(
                        f"{param.name} = {shown(first)} does not go with {other.name} = "
                        f"{shown(second)}, and both can be suggested: {why}"
                    )


def _component(param: Param) -> str:
    return param.name.rpartition(".")[0]


def _pairs(space: Space, param: Param, other: Param) -> Iterator[tuple[Value, Value]]:
    for first in _extremes(space, param):
        yield from ((first, second) for second in _extremes(space, other))
