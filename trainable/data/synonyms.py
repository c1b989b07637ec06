"""New training examples: copies in which one or two words of a sentence are synonyms."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from datasets import Dataset
from torch import Tensor

import trainable.data.dice
from trainable.cache.mapped import code_digest, mapped
from trainable.data.dice import Dice
from trainable.data.examples import Examples, collect, in_memory
from trainable.data.nltk_data import find_resource
from trainable.tasks import TaskName

Columns = dict[str, list[Any]]


# Names, abbreviations and parts of words such as "n't" do not match, so they stay as they are.
_WORD = re.compile(r"(?<![\w'’-])[a-z]{3,}(?![\w'’-])")

# WordNet has no function words, but it has other words that are spelled like them (the metal "can",
# the World Health Organization "who"), and "not" beside "non".
_FUNCTION_WORDS = """
all and any are been being both but can could did does doing done down each else ever every few for
from had has have having her here him his how into its just less let like many may might mine more
most much must nor not now off one only our out over own per shall should some such than that the
them then there they this too upon was were what when where which while who whom why will with would
yes yet you your
"""
_FIXED = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class Lexicon:
    """A source of synonyms.

    Attributes:
        name: Name and version, for the notes.
        synonyms: Maps a lower-case word to its synonyms: single words, never the word itself.
        digest: Equal digests stand for equal synonyms; part of the key of cached copies.
    """

    name: str
    synonyms: Callable[[str], Sequence[str]]
    digest: str


def add_synonym_copies(examples: Examples, copies: int, lexicon: Lexicon, seed: int) -> Examples:
    """Add copies of the training examples with one or two words of each sentence replaced.

    A copy keeps the label and has the id of its example followed by `~syn1` or `~syn2`. A sentence
    without a replaceable word stays as it is; a copy equal to its example or to the first copy is
    left out. The draws are seeded by the id, so that the copies do not depend on the order of the
    examples.

    Source: Paper of `mtbert/pos`, "Feature Augmentation", where one copy is made.

    Args:
        examples: Only their train splits change.
        copies: Number of copies of each example.
        lexicon: Source of the synonyms.
        seed: Equal seeds make equal copies.

    Returns:
        The examples with a fingerprint of the new contents, and a note of how many were added.
    """
    splits: dict[TaskName, dict[str, Dataset]] = {}
    notes = list(examples.notes)
    for task, datasets in examples.splits.items():
        train = datasets["train"]
        identity = {
            "examples": examples.fingerprint,
            "task": task,
            "copies": copies,
            "lexicon": lexicon.digest,
            "seed": seed,
            "code": code_digest(Path(__file__), Path(trainable.data.dice.__file__)),
        }
        make = functools.partial(_copies, copies=copies, lexicon=lexicon, seed=f"{seed}:{task}")
        new = _computed(train, make, identity)
        table = pa.concat_tables([train.with_format("arrow")[:], new])
        splits[task] = {**datasets, "train": in_memory(table)}
        notes.append(
            f"{task}-train: {len(new):,} example{'s' * (len(new) != 1)} added with synonyms of "
            f"{lexicon.name}"
        )
    return collect(examples.tasks, splits, tuple(notes))


def _computed(
    train: Dataset, make: Callable[[Columns], Columns], identity: dict[str, Any]
) -> pa.Table:
    """Make new examples, or read those that another process made; see `mapped`.

    Args:
        train: What they are made from.
        make: Maps the columns of examples to those of the new ones.
        identity: All that the result depends on: contents of the data, arguments of `make`.

    Raises:
        InputError: The cache cannot be written to.
    """

    def compute() -> dict[str, Tensor]:
        content = json.dumps(make(train.to_dict())).encode()
        return {"json": torch.frombuffer(bytearray(content), dtype=torch.uint8)}

    content = mapped("synonyms", identity, compute)["json"]
    return pa.table(json.loads(content.numpy().tobytes()), schema=train.features.arrow_schema)


def _copies(batch: Columns, copies: int, lexicon: Lexicon, seed: str) -> Columns:
    """Return the columns of the new examples of a batch."""
    rows: list[tuple[str, str, str, float]] = []
    columns = (batch[name] for name in ("id", "sentence1", "sentence2", "label"))
    for name, first, second, label in zip(*columns, strict=True):
        known = {(first, second)}
        for number in range(1, copies + 1):
            dice = Dice(f"{seed}:{name}:{number}")
            pair = (replace_words(first, lexicon, dice), replace_words(second, lexicon, dice))
            if pair not in known:
                known.add(pair)
                rows.append((f"{name}~syn{number}", *pair, label))
    names, firsts, seconds, labels = ([row[i] for row in rows] for i in range(4))
    return {"id": names, "sentence1": firsts, "sentence2": seconds, "label": labels}


def replace_words(text: str, lexicon: Lexicon, dice: Dice) -> str:
    """Replace one or two words that have synonyms, as far as there are any."""
    found = [(match, lexicon.synonyms(match.group())) for match in _WORD.finditer(text)]
    replaceable = [(match, synonyms) for match, synonyms in found if synonyms]
    chosen = dice.sample(replaceable, min(dice.pick((1, 2)), len(replaceable)))
    # From right to left, so that the positions of the words that follow stay valid.
    for match, synonyms in sorted(chosen, key=lambda one: one[0].start(), reverse=True):
        text = text[: match.start()] + dice.pick(synonyms) + text[match.end() :]
    return text


def load_wordnet() -> Lexicon:
    """Load WordNet through NLTK, downloading it if it is not on this machine.

    Raises:
        InputError: NLTK or WordNet is missing, and the message says what to run.
    """
    root = find_resource("corpora/wordnet", "features.synonym_copies")
    from nltk.corpus.reader import WordNetCorpusReader

    with warnings.catch_warnings(action="ignore"):  # of other languages, which we do not read
        reader = WordNetCorpusReader(root, None)
    lookup = functools.cache(functools.partial(wordnet_synonyms, reader))
    digest = hashlib.sha256()
    for name in sorted(reader.fileids()):
        with reader.abspath(name).open() as file:  # in a folder, or in a zip file
            digest.update(name.encode() + hashlib.sha256(file.read()).digest())
    return Lexicon(f"WordNet {reader.get_version()}", lookup, digest.hexdigest()[:16])


def wordnet_synonyms(reader: Any, word: str) -> tuple[str, ...]:
    """Return the words that mean the same as a word most often means.

    These are the words of its first sense that has another word, in the part of speech that is
    most frequent by WordNet's own counts: "film" gives "movie", and no verb. An inflected word has
    no synonyms here, since they would not be inflected.

    Args:
        reader: NLTK's `WordNetCorpusReader`.
        word: In lower case.
    """
    if word in _FIXED:
        return ()
    # Lemmas with exactly this name, by falling frequency inside a part of speech.
    senses = [reader.lemmas(word, part) for part in ("n", "v", "a", "r")]
    likeliest = max(senses, key=lambda own: (sum(lemma.count() for lemma in own), len(own)))
    for lemma in likeliest:
        others = [name for name in lemma.synset().lemma_names() if name != word]
        if words := tuple(name for name in others if name.isalpha() and name.islower()):
            return words
    return ()
