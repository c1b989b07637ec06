"""Apply a user's changes to a space: fix, narrow or widen, and choose what varies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from pydantic import ValidationError

from spaces.edits import Edit, Edits, Given
from spaces.params import Choose, Param, all_params, nearest_value, rebuild
from spaces.space import Space
from trainable.component import Choice, Domain, FloatRange, IntRange, Value
from trainable.errors import InputError, did_you_mean
from trainable.run_config import explain


def edit_space(space: Space, edits: Edits) -> Space:
    """Return a space with changes.

    What gets a range or choices varies, whether it did before or not. With `vary`, nothing else
    varies than that and what `vary` matches. The base moves into the new ranges, each value to the
    nearest one.

    Args:
        space: The space to begin from.
        edits: The changes; without any, the space stays as it is.

    Raises:
        InputError: A pattern matches nothing, or nothing that can be reached; a value is outside
            the bounds of its field; or something is changed twice.
    """
    if not edits:
        return space
    known = {param.name: param for param in all_params(space.base)}
    matched = {
        edit: matching_names(edit.pattern, edit.origin, known)
        for group in _groups(edits)
        for edit in group
    }
    _check_once((edit for group in _groups(edits)[:3] for edit in group), matched)
    fixed: dict[str, Value] = {}
    narrowed: dict[str, Domain] = {}
    for edit in edits.fix:
        fixed |= {name: _value(edit, edit.given[0], known[name]) for name in matched[edit]}
    for edit in edits.range:
        narrowed |= {name: _range(edit, known[name]) for name in matched[edit]}
    for edit in edits.choices:
        narrowed |= {name: _choices(edit, known[name]) for name in matched[edit]}
    varied = {name for edit in edits.vary for name in matched[edit]} | narrowed.keys()
    kept = {name: value for name, value in space.fixed.items() if name not in varied}
    changed = replace(
        space,
        vary=(*(edit.pattern for edit in edits.vary or ()), *narrowed)
        if edits.vary
        else (*space.vary, *narrowed),
        narrowed={**space.narrowed, **narrowed},
        fixed={**kept, **fixed},
    )
    _check_bounds(changed, edits, matched, known)
    try:
        changed = replace(changed, base=changed.complete(changed.nearest(changed.base)))
    except ValidationError as error:
        raise InputError(
            f"these changes do not go together: {explain(error)}; change one of them"
        ) from error
    _check_reached(changed, edits, matched, known)
    _check_together(changed, {*fixed, *narrowed})
    return changed


def moved(before: Space, after: Space) -> list[str]:
    """Return a sentence for each varying value that is another one in the base of `after`."""
    values = before.values_under({})
    ranges = {param.name: param.domain for param in after.reachable() if after.varies(param.name)}
    return [
        f"the first trial has {name} = {_shown(value)}, because {_shown(values[name])} is outside "
        f"{ranges[name]}; --range and --choices change that"
        for name, value in after.values_under({}).items()
        if name in ranges and name in values and values[name] != value
    ]


def _groups(edits: Edits) -> tuple[tuple[Edit, ...], ...]:
    return edits.fix, edits.range, edits.choices, edits.vary


def matching_names(pattern: str, origin: str, known: Iterable[str]) -> list[str]:
    """Return the names that match a pattern.

    Args:
        pattern: Dotted names, as in the shell.
        origin: How messages call it.
        known: All names.

    Raises:
        InputError: There are none.
    """
    names = list(known)
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        ends = {f"*.{'.'.join(name.split('.')[k:])}" for name in names for k in (1, 2, 3)}
        near = did_you_mean(pattern, {*names, *ends} if "*" in pattern else names)
        hint = near or "; --space full --dry-run lists them"
        raise InputError(f"{origin}: no hyperparameter is called {pattern!r}{hint}")
    return found


def _check_once(edits: Iterable[Edit], matched: Mapping[Edit, list[str]]) -> None:
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


def _range(edit: Edit, param: Param) -> Domain:
    """Return the range of a param with new ends."""
    domain = param.domain
    if isinstance(domain, Choice):
        raise InputError(
            f"{edit.origin}: {param.name} is one of {domain}; give --choices, such as "
            f"'{param.name}={','.join(map(_shown, domain.values[:2]))}'"
        )
    low, high = (_value(edit, end, param) for end in edit.given)
    if isinstance(domain, IntRange):
        return IntRange(int(low), int(high))
    if domain.log and float(low) <= 0:
        raise InputError(
            f"{edit.origin}: {param.name} is searched in its logarithm, and {low:g} has none; give "
            f"a lower end of more than 0"
        )
    return FloatRange(float(low), float(high), domain.log)


def _choices(edit: Edit, param: Param) -> Domain:
    values = tuple(_value(edit, given, param) for given in edit.given)
    if len(set(values)) < len(values):
        raise InputError(f"{edit.origin}: a value of {param.name} is given twice; give each once")
    return Choice(values)


def _value(edit: Edit, given: Given, param: Param) -> Value:
    """Return what the user gave as a value of the type that a param has."""
    domain = param.domain
    kinds = {type(value) for value in domain.values} if isinstance(domain, Choice) else {float}
    if isinstance(domain, IntRange) or kinds == {int}:
        return _number(edit, given, param, whole=True)
    if isinstance(domain, FloatRange) or kinds <= {int, float}:
        return _number(edit, given, param, whole=False)
    if kinds == {bool}:
        word = str(given).lower()
        if word not in ("true", "false"):
            raise InputError(f"{edit.origin}: {param.name} is true or false, not {given!r}")
        return word == "true"
    if isinstance(given, bool) or not isinstance(given, str):
        hint = "; YAML reads yes, no, on and off as true and false: write the word in quotes"
        raise InputError(
            f"{edit.origin}: {param.name} is one of {domain}, not {given!r}"
            f"{hint if isinstance(given, bool) else ''}"
        )
    return given


def _number(edit: Edit, given: Given, param: Param, whole: bool) -> Value:
    try:
        number = float(given)
        number = int(number) if whole and number == int(number) else number
    except (ValueError, OverflowError):  # no number; NaN and infinity
        number = None
    if number is None or isinstance(given, bool) or (whole and isinstance(number, float)):
        wanted = "a whole number" if whole else "a number"
        raise InputError(
            f"{edit.origin}: {param.name} is {wanted}, not {given!r}; give one, such as those of "
            f"{param.domain}"
        )
    return number


def _check_bounds(
    space: Space, edits: Edits, matched: Mapping[Edit, list[str]], known: Mapping[str, Param]
) -> None:
    """Refuse a value that the field of its component does not take."""
    for edit in (*edits.fix, *edits.range, *edits.choices):
        for name in matched[edit]:
            for value in _extremes(space, known[name]):
                why = _why_not(space, {**dict(known[name].parents), name: value})
                if why:
                    raise InputError(
                        f"{edit.origin}: {name} cannot be {_shown(value)}: {why}; searched is "
                        f"{known[name].domain} by default"
                        f"{did_you_mean(str(value), _words(known[name].domain))}"
                    )


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


def _check_reached(
    space: Space, edits: Edits, matched: Mapping[Edit, list[str]], known: Mapping[str, Param]
) -> None:
    """Refuse a change of what no suggestion has, and a space in which nothing varies."""
    reached = {param.name for param in space.reachable()}
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
            f"{_groups(edits)[0][-1].origin}: then nothing is left to vary; fix less, or train "
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


def _check_together(space: Space, names: set[str]) -> None:
    """Refuse values of two hyperparameters of a component that do not go together."""
    reached = space.reachable()
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
                        f"{param.name} = {_shown(first)} does not go with {other.name} = "
                        f"{_shown(second)}, and both can be suggested: {why}"
                    )


def _component(param: Param) -> str:
    return param.name.rpartition(".")[0]


def _pairs(space: Space, param: Param, other: Param) -> Iterator[tuple[Value, Value]]:
    for first in _extremes(space, param):
        yield from ((first, second) for second in _extremes(space, other))


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
