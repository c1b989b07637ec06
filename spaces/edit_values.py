"""What a user gives for a hyperparameter, as a value, a range or choices of its type."""

from __future__ import annotations

from spaces.edits import Edit, Given
from spaces.params import Param
from trainable.component import Choice, Domain, FloatRange, IntRange, Value
from trainable.errors import InputError


def range_of(edit: Edit, param: Param) -> Domain:
    """Return the range of a param with new ends.

    Raises:
        InputError: The param has no range, or an end is no value of it.
    """
    domain = param.domain
    if isinstance(domain, Choice):
        raise InputError(
            f"{edit.origin}: {param.name} is one of {domain}; give --choices, such as "
            f"'{param.name}={','.join(map(shown, domain.values[:2]))}'"
        )
    low, high = (value_of(edit, end, param) for end in edit.given)
    if isinstance(domain, IntRange):
        return IntRange(int(low), int(high))
    if domain.log and float(low) <= 0:
        raise InputError(
            f"{edit.origin}: {param.name} is searched in its logarithm, and {low:g} has none; give "
            f"a lower end of more than 0"
        )
    return FloatRange(float(low), float(high), domain.log)


def choices_of(edit: Edit, param: Param) -> Domain:
    """Return the choices of a param.

    Raises:
        InputError: A value is not of the param's type, or given twice.
    """
    values = tuple(value_of(edit, given, param) for given in edit.given)
    if len(set(values)) < len(values):
        raise InputError(f"{edit.origin}: a value of {param.name} is given twice; give each once")
    return Choice(values)


def value_of(edit: Edit, given: Given, param: Param) -> Value:
    """Return what the user gave as a value of the type that a param has.

    Raises:
        InputError: It is none.
    """
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


def shown(value: Value) -> str:
    """Return a value as the command line takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
