"""Sentences that a user asks about: checked, and brought to the form that they have in training."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from trainable.errors import InputError
from trainable.tasks import Task


def columns_of(task: Task, sentences: object) -> list[list[str]]:
    """Return the sentences of a task as one column, or two for pairs, without blanks around them.

    Args:
        task: Decides what an example is.
        sentences: What the user gave for a list of sentences, or of pairs.

    Raises:
        InputError: It is something else, or a sentence is empty; the message says which.
    """
    if not task.is_pair:
        return [texts_of(sentences, "sentence {}", f"a list of sentences for {task.name}")]
    wanted = f"a list of pairs of sentences for {task.name}"
    if isinstance(sentences, str) or not isinstance(sentences, Sequence):
        raise InputError(f"give {wanted}, not {type(sentences).__name__}")
    for number, pair in enumerate(sentences, 1):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(f"example {number} is {pair!r:.80}, no pair; give {wanted}")
    sides = [[pair[side] for pair in sentences] for side in (0, 1)]
    return [
        texts_of(texts, f"the {which} sentence of pair {{}}", wanted)
        for which, texts in zip(("first", "second"), sides, strict=True)
    ]


def texts_of(sentences: object, what: str, wanted: str) -> list[str]:
    """Return sentences without blanks around them.

    Args:
        sentences: What the user gave.
        what: Name of one of them in messages; its number, from 1, replaces the braces.
        wanted: What is to be given, for messages.

    Raises:
        InputError: It is no list of strings, or one of them is empty.
    """
    if isinstance(sentences, str) or not isinstance(sentences, Sequence):
        raise InputError(f"give {wanted}, not {type(sentences).__name__}")
    for number, text in enumerate(sentences, 1):
        if not isinstance(text, str):
            raise InputError(f"{what.format(number)} is {text!r:.80}, not a string; give {wanted}")
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise InputError(f"{what.format(number)} is not Unicode text: {text!r:.80}")
    # The same blanks as in training.
    texts: list[str] = pc.utf8_trim_whitespace(pa.array(list(sentences), pa.string())).to_pylist()
    if "" in texts:
        raise InputError(f"{what.format(texts.index('') + 1)} is empty; leave it out")
    return texts
