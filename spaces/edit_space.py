"""Apply a user's changes to a space: fix, narrow or widen, and choose what varies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from pydantic import ValidationError

from spaces.edit_checks import (
    check_bounds,
    check_once,
    check_reached,
    check_together,
    wrong_values,
)
from spaces.edit_values import choices_of, range_of, shown, value_of
from spaces.edits import Edit, Edits
from spaces.params import Param, all_params
from spaces.space import Space
from trainable.component import Domain, Value
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
    given = (*edits.fix, *edits.range, *edits.choices)
    matched = {
        edit: matching_names(edit.pattern, edit.origin, known) for edit in (*given, *edits.vary)
    }
    check_once(given, matched)
    wrong = wrong_values(_with_changes(space, edits, matched, known), given, matched, known)
    right = {edit: [name for name in matched[edit] if name not in wrong] for edit in given}
    changed = _with_changes(space, edits, {**matched, **right}, known)
    try:
        changed = replace(changed, base=changed.complete(changed.nearest(changed.base)))
    except ValidationError as error:
        raise InputError(
            f"these changes do not go together: {explain(error)}; change one of them"
        ) from error
    check_bounds(changed, given, matched, wrong)
    check_reached(changed, edits, matched, known)
    check_together(changed, {name for names in right.values() for name in names})
    return changed


def _with_changes(
    space: Space, edits: Edits, matched: Mapping[Edit, list[str]], known: Mapping[str, Param]
) -> Space:
    """Return a space with changes of the names that match, whose base does not fit it yet."""
    fixed: dict[str, Value] = {}
    narrowed: dict[str, Domain] = {}
    for edit in edits.fix:
        fixed |= {name: value_of(edit, edit.given[0], known[name]) for name in matched[edit]}
    for edit in edits.range:
        narrowed |= {name: range_of(edit, known[name]) for name in matched[edit]}
    for edit in edits.choices:
        narrowed |= {name: choices_of(edit, known[name]) for name in matched[edit]}
    varied = {name for edit in edits.vary for name in matched[edit]} | narrowed.keys()
    kept = {name: value for name, value in space.fixed.items() if name not in varied}
    return replace(
        space,
        vary=(*([edit.pattern for edit in edits.vary] or space.vary), *narrowed),
        narrowed={**space.narrowed, **narrowed},
        fixed={**kept, **fixed},
    )


def moved(before: Space, after: Space) -> list[str]:
    """Return a sentence for each varying value that is another one in the base of `after`."""
    values = before.values_under({})
    ranges = {param.name: param.domain for param in after.reachable if after.varies(param.name)}
    return [
        f"the first trial has {name} = {shown(value)}, because {shown(values[name])} is outside "
        f"{ranges[name]}; --range and --choices change that"
        for name, value in after.values_under({}).items()
        if name in ranges and name in values and values[name] != value
    ]


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
