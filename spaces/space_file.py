"""A space of one's own as a YAML file: a named one to begin from, and what is changed about it.

    from: full
    fix:
      "*.pooling": mean
    range:
      multitask.optimization.lr: 1e-5..1e-4
    choices:
      "*.head": [linear, mlp]
    vary: [multitask.*, "*.head*"]

Every key may be left out; the space then begins from `full`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spaces.edits import Edit, Edits, choices_edit, fix_edit, range_edit, vary_edit
from trainable.cache.yaml_file import read_yaml
from trainable.errors import InputError, did_you_mean

_KEYS = ("from", "fix", "range", "choices", "vary")


def read_space_file(path: Path) -> tuple[str, Edits]:
    """Return the name of the space that a file begins from, and its changes.

    Raises:
        InputError: The file cannot be read, has another key, or a value is not as it should be.
    """
    values = read_yaml(path, "give a file, or the name of a space")
    if not isinstance(values, dict):
        raise InputError(f"{path}: give a mapping with the keys {', '.join(_KEYS)}")
    for key in values:
        if key not in _KEYS:
            near = did_you_mean(key, _KEYS)
            raise InputError(f"{path}: unknown key {key!r}; known are {', '.join(_KEYS)}{near}")
    start = values.get("from", "full")
    if not isinstance(start, str):
        raise InputError(f"{path}, from: {start!r} is no name; give that of a space, such as full")
    return start, Edits(
        tuple(
            fix_edit(pattern, _plain(value, origin), origin)
            for pattern, value, origin in _items(values, "fix", path)
        ),
        tuple(_range(*item) for item in _items(values, "range", path)),
        tuple(_choices(*item) for item in _items(values, "choices", path)),
        _vary(values.get("vary", []), path),
    )


def _items(values: dict[str, Any], key: str, path: Path) -> list[tuple[str, Any, str]]:
    """Return pattern, value and origin of each entry of a mapping."""
    found = values.get(key, {})
    if not isinstance(found, dict):
        raise InputError(f"{path}, {key}: give a mapping from names to values, not {found!r:.60}")
    return [(pattern, value, f"{path}, {key}: {pattern}") for pattern, value in found.items()]


def _range(pattern: str, value: Any, origin: str) -> Edit:
    ends = value.split("..") if isinstance(value, str) else value
    if not isinstance(ends, list):
        raise InputError(f"{origin}: {value!r:.60} is no range; give 1e-5..1e-4 or [1e-5, 1e-4]")
    return range_edit(pattern, [_plain(end, origin) for end in ends], origin)


def _choices(pattern: str, value: Any, origin: str) -> Edit:
    if not isinstance(value, list) or not value:
        raise InputError(f"{origin}: {value!r:.60} is no list; give one, such as [mean, cls]")
    return choices_edit(pattern, [_plain(own, origin) for own in value], origin)


def _vary(value: Any, path: Path) -> tuple[Edit, ...]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(own, str) for own in patterns):
        raise InputError(f"{path}, vary: {value!r:.60} is no list of names, such as [multitask.*]")
    return tuple(vary_edit(own, f"{path}, vary: {own}") for own in patterns)


def _plain(value: Any, origin: str) -> str | int | float | bool:
    if isinstance(value, str | int | float | bool):
        return value
    raise InputError(f"{origin}: {value!r:.60} is no value; give a word, a number, true or false")
