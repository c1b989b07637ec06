"""Fill in what a configuration that was written by hand leaves out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from trainable.defaults import default_run, shape_of
from trainable.errors import InputError
from trainable.run_config import RunConfig


def complete(given: Any, origin: str) -> tuple[RunConfig, dict[str, Any]]:
    """Return the RunConfig that a part of one means, and what was filled in.

    A component that is not named keeps the kind that it has by default; what is not said of a
    component has the defaults of its kind.

    Args:
        given: Decoded JSON or YAML; it is not changed.
        origin: Name of the file, for messages.

    Returns:
        The configuration, and dotted name -> value for each field that was filled in. A part that
        is left out whole stands there once, by its kind if it has one.

    Raises:
        InputError: A field is unknown or out of range, or the format is another; the encoder cannot
            be had, from which a learning rate follows that is left out.
    """
    if not isinstance(given, dict):
        raise InputError(f"{origin}: a configuration is a mapping, not {given!r:.60}")
    # Which tasks there are, and of which kinds, follows from the data.
    plain = RunConfig().to_dict()
    part = {key: merged(plain[key], given[key]) for key in ("data", "encoder") if key in given}
    start = RunConfig.from_part(part, origin)
    shape = shape_of(start.encoder) if _leaves_out_lr(given) else None
    defaults = default_run(start.encoder, start.data, shape=shape).to_dict()
    config = RunConfig.from_part(merged(defaults, given), origin)
    return config, dict(_left_out(config.to_dict(), given, ""))


def _leaves_out_lr(given: Any) -> bool:
    for key in ("multitask", "optimization", "lr"):
        if not isinstance(given, dict):
            return False  # there is no such stage, or an error that is found later
        if key not in given:
            return True
        given = given[key]
    return False


def filled_note(origin: object, filled: dict[str, Any]) -> str:
    """Return a block for people: which fields have their defaults, and which these are."""
    # No line ends between a name and its value.
    listed = ", ".join(f"{name}\u00a0{_brief(value)}" for name, value in filled.items())
    block = textwrap.fill(listed, 100, initial_indent="  ", subsequent_indent="  ")
    block = block.replace("\u00a0", " ")
    return f"{origin} leaves out, and these have their defaults:\n{block}"


def merged(defaults: Any, given: Any) -> Any:
    """Return what is given, filled up by defaults; a component of another kind has none of them."""
    if not isinstance(defaults, dict) or not isinstance(given, dict):
        return given
    if given.get("kind", defaults.get("kind")) != defaults.get("kind"):
        return given
    return defaults | {key: merged(defaults.get(key), value) for key, value in given.items()}


def _left_out(full: Any, given: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each field of `full` that `given` lacks."""
    for key, value in full.items():
        here = f"{path}.{key}" if path else key
        if key not in given and not (isinstance(value, dict) and "kind" not in value):
            yield here, value
        elif isinstance(value, dict):
            yield from _left_out(value, given.get(key, {}), here)


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["kind"])
    return json.dumps(value) if isinstance(value, bool | list) or value is None else str(value)
