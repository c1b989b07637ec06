"""Sentences of standard input: each line is answered as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from trainable.errors import InputError
from trainable.tasks import Task

STDIN = "standard input"
_READ_AT_ONCE = 1 << 16  # bytes


def given_lines(stream: BinaryIO, task: Task) -> Iterator[list[str | tuple[str, ...]]]:
    """Yield sentences or pairs, at least one at a time; blank lines are skipped.

    Raises:
        InputError: A line is wrong; those before it have been yielded.
    """
    number = 0
    for lines in _blocks(stream):
        found: list[str | tuple[str, ...]] = []
        problem: InputError | None = None
        for line in lines:
            number += 1
            if not line.strip(b" \r"):
                continue
            try:
                found.append(_sentence(line, number, task))
            except InputError as error:
                problem = error
                break
        if found:
            yield found
        if problem is not None:
            raise problem


def _blocks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield whole lines, as many as can be had without waiting for more."""
    rest = b""
    while block := stream.read1(_READ_AT_ONCE):  # type: ignore[attr-defined]
        *lines, rest = (rest + block).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _sentence(line: bytes, number: int, task: Task) -> str | tuple[str, ...]:
    """Return the sentence of a line, or its pair.

    Raises:
        InputError: It is not UTF-8, has an empty sentence, or not as many as the task needs.
    """
    here = f"{STDIN}, line {number}"
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"{here} is not UTF-8 text: {error}") from error
    parts = text.split("\t")
    n = 2 if task.is_pair else 1
    if len(parts) != n:
        wanted = "two sentences with a tab between them" if n == 2 else "one sentence without a tab"
        raise InputError(
            f"{here}: {text!r:.80} has {len(parts) - 1} tabs; {task.name} needs {wanted}"
        )
    if not all(part.strip() for part in parts):
        raise InputError(f"{here}: {text!r:.80} has an empty sentence; leave the line out")
    return tuple(parts) if n == 2 else parts[0]
