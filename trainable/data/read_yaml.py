"""Read a YAML file of the user's, and look at its values with errors that say where they stand."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from trainable.cache.files import reading
from trainable.errors import InputError, did_you_mean


class _TextLoader(yaml.BaseLoader):
    """Gives text, lists and mappings only, and refuses a key that is given twice.

    `yaml.SafeLoader` would read the labels `no` and `yes` as false and true, and 010 as 8, and
    would keep the last of two tasks with one name.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} is given twice; remove one", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: text, also for numbers, lists and mappings.

    Raises:
        InputError: It cannot be read, is no YAML, or has a key twice in one mapping.
    """
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
    try:
        return yaml.load(text, _TextLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: {error.problem or 'not valid YAML'}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


def mapping(value: Any, where: str, known: Collection[str]) -> dict[str, Any]:
    """Return a mapping with known keys only, and no key without a value."""
    if not isinstance(value, dict):
        raise InputError(
            f"{where}: {shown(value)} is no mapping; its keys may be {', '.join(known)}"
        )
    for key, own in value.items():
        if key not in known:
            near = did_you_mean(key, known)
            raise InputError(f"{where}: unknown key {key!r}; allowed: {', '.join(known)}{near}")
        if own in ("", [], {}):
            raise InputError(f"{where}: {key} is empty; give a value, or remove the key")
    return value


def text(value: Any, where: str) -> str:
    """Return a value that is one piece of text."""
    if not isinstance(value, str):
        raise InputError(f"{where}: {shown(value)} is not text")
    return value


def number(value: Any, where: str, low: float, high: float) -> float:
    """Return a value that is a number from `low` to `high`."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if math.isfinite(found) and low <= found <= high:
        return found
    if math.isfinite(low) and math.isfinite(high):
        allowed = f"a number from {low:g} to {high:g}"
    else:
        allowed = f"a number of at least {low:g}" if math.isfinite(low) else "a number"
    raise InputError(f"{where} is {shown(value)}; give {allowed}")


def choice(value: Any, where: str, allowed: Collection[str]) -> str:
    """Return a value that is one of a few."""
    if not isinstance(value, str) or value not in allowed:
        near = did_you_mean(value, allowed) if isinstance(value, str) else ""
        raise InputError(f"{where} is {shown(value)}; allowed: {', '.join(allowed)}{near}")
    return value


def flag(value: Any, where: str) -> bool:
    """Return a value that is `true` or `false`."""
    return choice(value, where, ("true", "false")) == "true"


def shown(value: Any) -> str:
    """Return a value as messages show it, on one line."""
    return f"{value!r:.80}"
