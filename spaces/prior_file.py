"""Priors of one's own, from a YAML file: patterns over names, and where to look first.

    "*.lr": {center: 1e-4, spread: 0.1}
    "*.pooling": {mean: 3, cls: 1}
    "*.head": {center: mlp}

`spread` is a standard deviation as a share of the range. Weights of members are taken as they are,
and a member that is not named has 1. A later pattern takes the place of an earlier one.
Nothing here knows which hyperparameters there are, so that it needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainable.cache.yaml_file import read_yaml
from trainable.errors import InputError, did_you_mean

_EXAMPLE = "such as {center: 1e-4, spread: 0.1}, or weights, such as {mean: 3, cls: 1}"


@dataclass(frozen=True)
class PriorEdit:
    """One entry of the file.

    Attributes:
        pattern: Dotted names, as in the shell.
        given: `center`, `spread`, or member -> weight.
        origin: How messages call it.
    """

    pattern: str
    given: dict[Any, Any]
    origin: str


def read_prior_file(path: Path) -> tuple[PriorEdit, ...]:
    """Return the entries of a file of priors.

    Raises:
        InputError: The file cannot be read, or an entry is not as it should be.
    """
    values = read_yaml(path, "give a file of priors, or off")
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: give a mapping from names to priors, {_EXAMPLE}")
    edits = [PriorEdit(str(name), own, f"{path}, {name}") for name, own in values.items()]
    for edit in edits:
        if not isinstance(edit.given, dict) or not edit.given:
            raise InputError(f"{edit.origin}: {edit.given!r:.60} is no prior; give one, {_EXAMPLE}")
        for key, value in edit.given.items():
            if key != "center":
                _check_amount(edit, key, value)
        named = edit.given.keys() - {"center", "spread"}
        if named and len(named) < len(edit.given):
            raise InputError(
                f"{edit.origin}: has weights and {min(edit.given.keys() - named)}; give one of them"
            )
    return tuple(edits)


def _check_amount(edit: PriorEdit, key: Any, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "spread" and not (is_number and 0 < value <= 1):
        raise InputError(
            f"{edit.origin}: spread is {value!r:.60}; give a share of the range, more than 0 and "
            f"at most 1, such as 0.12"
        )
    if not is_number or not 0 <= value < math.inf:
        raise InputError(
            f"{edit.origin}: the weight of {key} is {value!r:.60}; give a number of at least 0"
            f"{did_you_mean(str(key), ('center', 'spread'))}"
        )
