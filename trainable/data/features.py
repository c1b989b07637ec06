"""Optional features of the input: part-of-speech tags, and training examples with synonyms."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainable.component import Choice, Component, IntRange

# The universal tags of Petrov, Das and McDonald 2012 (arXiv:1104.2086); a tag's id is its index.
# Id 0 means no tag: it is the id of special tokens and of text that was not tagged.
TAGS = ("", "VERB", "NOUN", "PRON", "ADJ", "ADV", "ADP", "CONJ", "DET", "NUM", "PRT", "X", ".")


class InputFeatures(Component):
    """Part-of-speech tags as an input of the encoder, and copies of examples with synonyms.

    Both need NLTK (`pip install 'multitask-bert-search[features]'`), which downloads its tagger or
    its WordNet when one of them is first used.

    Source: "Feature Augmentation" in the paper of `mtbert/pos`: NLTK's tags, and one copy of each
    example with one or two words replaced. The copies there come from neighbours in an embedding,
    ours from WordNet.

    Attributes:
        pos_tags: Add an embedding of each word's part of speech to the encoder's input.
        synonym_copies: New examples made from each training example.
    """

    pos_tags: Annotated[bool, Choice((False, True))] = False
    synonym_copies: Annotated[int, Field(ge=0, le=2), IntRange(0, 2)] = 0

    @property
    def n_tags(self) -> int:
        """Rows of the encoder's tag embedding; 0 without tags."""
        return len(TAGS) if self.pos_tags else 0


PLAIN = InputFeatures()  # words only
