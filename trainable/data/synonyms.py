"""New training examples: copies in which one or two words of a sentence are synonyms."""

from __future__ import annotations

import functools
import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable
from filelock import FileLock

from trainable.data.dice import Dice
from trainable.data.examples import Examples, collect
from trainable.data.nltk_data import find_resource
from trainable.data.quiet_datasets import no_progress_bars
from trainable.tasks import TaskName

Columns = dict[str, list[Any]]

_RULES_VERSION = 1  # raise it when this file makes other copies: cached ones are then made again

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
        name: Name and version, for the key of cached copies and for the notes.
        synonyms: Maps a lower-case word to its synonyms: single words, never the word itself.
    """

    name: str
    synonyms: Callable[[str], Sequence[str]]


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
        key = f"{examples.fingerprint}:{task}:synonyms:{_RULES_VERSION}"
        key += f":{copies}:{lexicon.name}:{seed}"
        make = functools.partial(_copies, copies=copies, lexicon=lexicon, seed=f"{seed}:{task}")
        new = _computed(train, make, key, examples.cache_dir)
        table = pa.concat_tables([train.with_format("arrow")[:], new])
        # Without a fingerprint of ours, datasets would pickle the whole table to find one.
        fingerprint = hashlib.sha256(f"{key}:all".encode()).hexdigest()[:16]
        splits[task] = {**datasets, "train": Dataset(InMemoryTable(table), fingerprint=fingerprint)}
        notes.append(
            f"{task}-train: {len(new):,} example{'s' * (len(new) != 1)} added with synonyms of "
            f"{lexicon.name}"
        )
    return collect(splits, tuple(notes), examples.cache_dir)


def _computed(
    train: Dataset, make: Callable[[Columns], Columns], key: str, cache_dir: Path | None
) -> pa.Table:
    """Make new examples batch by batch, or map those that another process made into memory.

    One process makes them, and others that need the same wait for it.

    Args:
        train: What they are made from.
        make: Maps the columns of a batch to those of its new examples.
        key: Names all that the result depends on: contents of the data, arguments of `make`.
        cache_dir: Folder that keeps the results, or None to make them anew.
    """
    fingerprint = hashlib.sha256(key.encode()).hexdigest()[:16]
    lock = nullcontext() if cache_dir is None else FileLock(cache_dir / f"{fingerprint}.lock")
    with lock, no_progress_bars():
        result = train.map(
            make,
            batched=True,
            remove_columns=train.column_names,
            features=train.features,
            new_fingerprint=fingerprint,
            cache_file_name=None if cache_dir is None else str(cache_dir / f"{fingerprint}.arrow"),
        )
    return result.with_format("arrow")[:]


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
    return Lexicon(f"WordNet {reader.get_version()}", lookup)


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
