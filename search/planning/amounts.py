"""Durations and budgets: as users write them, and as people read them."""

from __future__ import annotations

import re

from trainable.errors import InputError


def seconds(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h` or `1.5h`.

    Raises:
        InputError: Something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or float(match[1]) == 0:
        raise InputError(f"--time-limit {text!r}: give a number and s, m or h, such as 30m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def clock(seconds: float) -> str:
    """Return seconds as people read them: 75 as `1:15`, 3700 as `1:01:40`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def budget_tokens(text: str, tokens_per_epoch: int) -> int:
    """Return the tokens of `800000`, `800_000` or `3ep`.

    Args:
        text: What the user gave.
        tokens_per_epoch: Tokens of all train sets together.

    Raises:
        InputError: Not a positive number.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)(ep)?", text)
    tokens = 0
    if match:
        number = float(match[1].replace("_", ""))
        tokens = round(number * tokens_per_epoch if match[2] else number)
    if tokens < 1:
        raise InputError(
            f"--budget {text!r}: give a number of tokens, such as 800000, or a number of passes "
            f"over all train sets, such as 3ep (one is {tokens_per_epoch:,} tokens here)"
        )
    return tokens
