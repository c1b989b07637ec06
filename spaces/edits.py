"""What a user changes about a space, as options say it; `edit_space` applies it.

Nothing here knows which hyperparameters there are, so that it needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainable.errors import InputError

Given = str | int | float | bool
"""A value as the user wrote it: text of an option, or what YAML made of it."""


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        pattern: Dotted names, as in the shell: `*.pooling`.
        given: A value to fix; the two ends of a range; several choices; or nothing, to vary.
        origin: How messages call it, such as `--fix '*.pooling=mean'`.
    """

    pattern: str
    given: tuple[Given, ...]
    origin: str


@dataclass(frozen=True)
class Edits:
    """All changes of a space.

    Attributes:
        fix: What gets a value and does not vary.
        range: What varies between two numbers.
        choices: What varies over a few values.
        vary: What varies; with any, only that and what has a range or choices.
    """

    fix: tuple[Edit, ...] = ()
    range: tuple[Edit, ...] = ()
    choices: tuple[Edit, ...] = ()
    vary: tuple[Edit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fix or self.range or self.choices or self.vary)


def parse_edits(
    fix: Sequence[str] = (),
    range: Sequence[str] = (),
    choices: Sequence[str] = (),
    vary: Sequence[str] = (),
) -> Edits:
    """Return the changes that the options of a command line mean.

    Args:
        fix: Texts such as `*.pooling=mean`.
        range: Texts such as `multitask.optimization.lr=1e-5..1e-4`.
        choices: Texts such as `*.pooling=mean,cls`.
        vary: Patterns.

    Raises:
        InputError: A text is not like these.
    """
    return Edits(
        tuple(_fix(text) for text in fix),
        tuple(_range(text) for text in range),
        tuple(_choices(text) for text in choices),
        tuple(vary_edit(text.strip(), f"--vary {text!r}") for text in vary),
    )


def _fix(text: str) -> Edit:
    origin = f"--fix {text!r}"
    pattern, value = _halves(text, origin, "*.pooling=mean")
    return fix_edit(pattern, value, origin)


def _range(text: str) -> Edit:
    origin = f"--range {text!r}"
    pattern, value = _halves(text, origin, "*.lr=1e-5..1e-4")
    return range_edit(pattern, value.split(".."), origin)


def _choices(text: str) -> Edit:
    origin = f"--choices {text!r}"
    pattern, value = _halves(text, origin, "*.pooling=mean,cls")
    return choices_edit(pattern, [part.strip() for part in value.split(",")], origin)


def _halves(text: str, origin: str, example: str) -> tuple[str, str]:
    pattern, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{origin}: has no '='; give a name and a value, such as '{example}'")
    return pattern.strip(), value.strip()


def fix_edit(pattern: str, value: Given, origin: str) -> Edit:
    """Return the change that fixes what matches a pattern."""
    return _edit(pattern, (value,), origin)


def range_edit(pattern: str, ends: Sequence[Given], origin: str) -> Edit:
    """Return the change that gives a range to what matches a pattern.

    Raises:
        InputError: These are not two finite numbers, the lower one first.
    """
    example = "such as 1e-5..1e-4"
    if len(ends) != 2:
        raise InputError(f"{origin}: give two numbers with two dots between them, {example}")
    low, high = (_number(end, origin) for end in ends)
    if low == high:
        raise InputError(f"{origin}: both ends are {low:g}; to keep one value give --fix")
    if low > high:
        raise InputError(f"{origin}: {low:g} is more than {high:g}; give the lower end first")
    return _edit(pattern, (low, high), origin)


def choices_edit(pattern: str, values: Sequence[Given], origin: str) -> Edit:
    """Return the change that gives choices to what matches a pattern.

    Raises:
        InputError: These are less than two different values.
    """
    if len(values) == 1:
        raise InputError(f"{origin}: one value is no choice; give several, or keep it by --fix")
    if len({str(value) for value in values}) < len(values):
        raise InputError(f"{origin}: a value is given twice; give each once")
    return _edit(pattern, tuple(values), origin)


def vary_edit(pattern: str, origin: str) -> Edit:
    """Return the change that lets vary what matches a pattern."""
    return _edit(pattern, (), origin)


def _edit(pattern: str, given: tuple[Given, ...], origin: str) -> Edit:
    if not pattern:
        raise InputError(f"{origin}: names no hyperparameter; give its name, such as *.pooling")
    if any(value == "" for value in given):
        raise InputError(f"{origin}: a value is empty; give one")
    return Edit(pattern, given, origin)


def _number(given: Given, origin: str) -> int | float:
    """Return an end of a range; a whole number stays one."""
    try:
        number = int(given) if isinstance(given, str) else given
    except ValueError:
        try:
            number = float(given)
        except ValueError:
            number = math.nan
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise InputError(f"{origin}: {given!r} is no number; give two, such as 1e-5..1e-4")
    return number
