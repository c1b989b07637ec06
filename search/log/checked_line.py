"""One line of the event log: JSON that ends in a checksum of all that is before it."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, Final

TORN: Final = b" #torn"  # ends what a killed driver wrote of a line
_CRC = b', "crc": "%08x"}'
_CRC_PATTERN = re.compile(rb', "crc": "[0-9a-f]{8}"\}')
_CRC_LENGTH = len(_CRC % 0)


def to_line(event: dict[str, Any]) -> bytes:
    """Return an event as a line with its checksum and line break."""
    body = json.dumps(event).encode()[:-1]  # without the closing brace
    return body + _CRC % zlib.crc32(body) + b"\n"


def has_checksum(line: bytes) -> bool:
    """Whether a line ends in a checksum, right or wrong."""
    return _CRC_PATTERN.fullmatch(line[-_CRC_LENGTH:]) is not None


def parse_line(line: bytes) -> dict[str, Any]:
    """Return the event of a line, which may have no checksum, without its line break.

    Raises:
        ValueError: The line is damaged; the message says what is wrong with it.
    """
    if has_checksum(line):
        body = line[:-_CRC_LENGTH]
        if line[-_CRC_LENGTH:] != _CRC % zlib.crc32(body):
            raise ValueError("its checksum does not match")
        line = body + b"}"
    try:
        event = json.loads(line)
    except ValueError as error:  # also of bytes that are no text
        raise ValueError("it is not JSON") from error
    if not isinstance(event, dict) or "event" not in event:
        raise ValueError("it is no event")
    return event


def describe_line(number: int, line: bytes) -> str:
    """Return how to name a damaged line, with what can still be read of it."""
    kind, trial = re.search(rb'"event": "(\w+)"', line), re.search(rb'"trial": (\d+)', line)
    known = [f"`{kind[1].decode()}`"] if kind else []
    known += [f"of trial {int(trial[1])}"] if trial else []
    return f"line {number}" + (f" ({' '.join(known)})" if known else "")
