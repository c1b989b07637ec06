"""Durations, budgets and sizes: as users write them, and as people read them."""

from __future__ import annotations

import re

from trainable.errors import InputError

_DURATION = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?"
)
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_LONGEST = 10 * 365 * 24 * 3600  # seconds

_PRICE = re.compile(r"(\d+(?:\.\d+)?)(?:/h)?")
_DEAREST = 10**6  # of an hour

_BUDGET = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:e\d+)?)(ep|[kKmM])?")
_TIMES = {"k": 10**3, "m": 10**6}
_MOST_TOKENS = 10**15


def seconds(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `1.5h` or `1h30m`.

    Raises:
        InputError: The text is no duration, or it is 0 or more than ten years.
    """
    match = _DURATION.fullmatch(text)
    found = match.groupdict() if match else {}
    total = sum(float(n) * _SECONDS[unit] for unit, n in found.items() if n is not None)
    if not 0 < total <= _LONGEST:
        raise InputError(
            f"--time-limit {_brief(text)}: give hours, minutes or seconds up to ten years, such as "
            f"30m or 1h30m"
        )
    return total


def clock(seconds: float) -> str:
    """Return seconds as people read them: 75 as `1:15`, 3700 as `1:01:40`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def span(low: float, high: float) -> str:
    """Return an interval of seconds as people read it: `140 - 290 s`, `12 - 19 min`, `3.1 - 4.5 h`.

    The longer end decides the unit.
    """
    if high < 600:
        return f"{_ends(round(low), round(high))} s"
    if high < 3 * 3600:
        return f"{_ends(round(low / 60), round(high / 60))} min"
    return f"{_ends(round(low / 3600, 1), round(high / 3600, 1))} h"


def numbers(low: float, high: float) -> str:
    """Return an interval of numbers with two digits: `0.31 - 0.42`, `12 - 150`."""
    return _ends(*(f"{own:.2g}" if own < 10 else f"{own:,.0f}" for own in (low, high)))


def _ends(low: object, high: object) -> str:
    return f"{low}" if low == high else f"{low} - {high}"


def price_per_hour(text: str) -> float:
    """Return the price of `1.2/h` or `1.2`.

    Raises:
        InputError: The text is no price, or it is 0 or more than a million.
    """
    match = _PRICE.fullmatch(text)
    if not match or not 0 < float(match[1]) <= _DEAREST:
        raise InputError(
            f"--price {_brief(text)}: give what an hour of one GPU costs, or of one CPU core where "
            f"trials use no GPU, above 0 and up to a million, such as 1.2/h or 1.2"
        )
    return float(match[1])


def size(n_bytes: float) -> str:
    """Return bytes as people read them: 1.5e9 as `1.5 GB`, below that 12.3e6 as `12.3 MB`."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def budget_tokens(text: str, tokens_per_epoch: int) -> int:
    """Return the tokens of `800000`, `800_000`, `8e5`, `800k`, `1.5M` or `3ep`.

    Args:
        text: What the user gave.
        tokens_per_epoch: Tokens of all train sets together.

    Raises:
        InputError: The text is no such number, or it is less than 1 or more than 10^15 tokens.
    """
    match = _BUDGET.fullmatch(text)
    number = 0.0
    if match:
        unit = (match[2] or "").lower()
        times = tokens_per_epoch if unit == "ep" else _TIMES.get(unit, 1)
        number = float(match[1].replace("_", "")) * times
    if not 0.5 < number <= _MOST_TOKENS:
        raise InputError(
            f"--budget {_brief(text)}: give a number of tokens up to 10^15, such as 800000, 800k "
            f"or 8e5, or a number of passes over all train sets, such as 3ep (one is "
            f"{tokens_per_epoch:,} tokens here)"
        )
    return round(number)


def _brief(text: str) -> str:
    """Return a text in quotes, cut after 40 characters."""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."
