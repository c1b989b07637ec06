"""Part-of-speech tags of the words and of the tokens of a sentence."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from trainable.data.features import TAGS
from trainable.data.nltk_data import find_resource

_MODEL = "averaged_perceptron_tagger_eng"
# Raise it when the pattern or the table below changes: cached tags are then computed again.
_RULES_VERSION = 1

# Words as in the Penn Treebank, on which taggers are trained: "do" "n't", "it" "'s", "3.5",
# "U.S.", "well-known". Every character except white space belongs to exactly one word. \w does not
# match combining accents, so the pattern names them.
_WORD = re.compile(
    r"""
    [\w\u0300-\u036f]+(?=n['’]t\b) | n['’]t\b | ['’](?:s|m|d|re|ve|ll)\b
    | \d+(?:[.,:/]\d+)+ | (?:[a-z]\.){2,}
    | [\w\u0300-\u036f]+(?:-[\w\u0300-\u036f]+)*
    | \.{2,} | -{2,} | `` | '' | [^\w\s]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_QUOTES = str.maketrans({'"': "''", "“": "``", "”": "''", "’": "'"})

# Penn Treebank tag -> id of its universal tag; tags that are missing here (FW, LS, SYM, UH) are X.
# Source: the table en-ptb of Petrov, Das and McDonald, which NLTK offers as a further download.
_TAG_IDS = {
    tag: TAGS.index(universal)
    for universal, tags in {
        "VERB": "MD VB VBD VBG VBN VBP VBZ",
        "NOUN": "NN NNP NNPS NNS",
        "PRON": "PRP PRP$ WP WP$",
        "ADJ": "JJ JJR JJS",
        "ADV": "RB RBR RBS WRB",
        "ADP": "IN",
        "CONJ": "CC",
        "DET": "DT EX PDT WDT",
        "NUM": "CD",
        "PRT": "POS RP TO",
        ".": "# $ '' ( ) , -LRB- -RRB- . : ``",
    }.items()
    for tag in tags.split()
}
_OTHER = TAGS.index("X")


class Tagger(Protocol):
    """Gives words their Penn Treebank tags; NLTK's taggers have this method."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        """Return each word with its tag."""


@dataclass(frozen=True)
class PosTagger:
    """A tagger, and the digest under which its tags are cached.

    Attributes:
        tagger: Tags words.
        digest: Equal digests stand for equal taggers.
    """

    tagger: Tagger
    digest: str

    def token_tags(self, text: str, offsets: Iterable[tuple[int, int]]) -> list[int]:
        """Return the tag id, an index of `TAGS`, of each token of a sentence.

        A token has the tag of the word that holds its first character, without the white space that
        tokens of RoBERTa begin with; 0 if no word does.

        Args:
            text: The sentence.
            offsets: Start and end of each token in `text`, in characters.
        """
        spans = word_spans(text)
        words = [text[start:end].translate(_QUOTES) for start, end in spans]
        tags = [_TAG_IDS.get(tag, _OTHER) for _, tag in self.tagger.tag(words)]
        starts = [start for start, _ in spans]
        result = []
        for first, last in offsets:
            while first < last and text[first].isspace():
                first += 1
            word = bisect_right(starts, first) - 1
            in_word = first < last and word >= 0 and first < spans[word][1]
            result.append(tags[word] if in_word else 0)
        return result


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of each word of a sentence, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


def load_tagger() -> PosTagger:
    """Load NLTK's English tagger, downloading its model if it is not on this machine.

    Raises:
        InputError: NLTK or the model is missing, and the message says what to run.
    """
    find_resource(f"taggers/{_MODEL}", "features.pos_tags")
    from nltk.tag import PerceptronTagger

    # Not `load=True`: before NLTK 3.9 it read a pickle, and a pickle can run any code.
    tagger = PerceptronTagger(load=False)
    tagger.load_from_json("eng")
    return PosTagger(tagger, perceptron_digest(tagger))


def perceptron_digest(tagger: Any) -> str:
    """Return 16 hex digits of a SHA-256 of an NLTK `PerceptronTagger` and of our rules."""
    weights, word_tags, classes = tagger.encode_json_obj()
    model = json.dumps([_RULES_VERSION, weights, word_tags, sorted(classes)], sort_keys=True)
    return hashlib.sha256(model.encode()).hexdigest()[:16]
