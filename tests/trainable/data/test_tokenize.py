from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from trainable.data.examples import Examples, collect
from trainable.data.features import TAGS
from trainable.data.pos_tags import PosTagger
from trainable.data.schema import to_schema
from trainable.data.tokenize import MAX_SENTENCE_TOKENS, encode, tokenize
from trainable.data.tokenizer import train_wordpiece
from trainable.tasks import COURSE

TEXT = ["The cat sat .", "The cats sat down !", "A dog , unlike cats , barks ."]
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30)
sentences = st.lists(text.filter(lambda t: bool(t.strip())), min_size=1, max_size=40)


def examples_of(texts: list[str]) -> Examples:
    table = pa.table(
        {
            "id": [str(i) for i in range(len(texts))],
            "sentence1": texts,
            "sentence2": texts[::-1],
            "label": [1.0] * len(texts),
        }
    )
    splits = {
        task: {
            split: to_schema(table, COURSE[task], split, "test")[0] for split in ("train", "dev")
        }
        for task in COURSE
    }
    return collect(COURSE, splits)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece(TEXT, 200)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(sentences)
def test_stored_tokens_are_those_of_the_tokenizer(texts: list[str]) -> None:
    tokenizer = train_wordpiece(TEXT, 200)
    splits, notes = tokenize(examples_of(texts), tokenizer)
    stored = splits["sts"]["train"]
    assert stored.sentence2 is not None
    for sentence, order in ((stored.sentence1, texts), (stored.sentence2, texts[::-1])):
        expected = [tokenizer.encode(t.strip(), add_special_tokens=False).ids for t in order]
        bounds = sentence.offsets.tolist()
        assert [sentence.tokens[a:b].tolist() for a, b in pairwise(bounds)] == expected
    assert splits["sst"]["train"].sentence2 is None
    n_empty = int((stored.sentence1.lengths == 0).sum())
    assert any(f"sst-dev: {n_empty} sentence" in note for note in notes) == (n_empty > 0)
    assert len(notes) == (6 if n_empty else 0)


@pytest.mark.parametrize("n_texts", [0, 1, 1023, 1024, 1025, 2049])
def test_every_text_is_encoded_in_its_order(tokenizer: Tokenizer, n_texts: int) -> None:
    """Texts go through the tokenizer in batches of 1,024."""
    found = encode(["cat " * (number % 7) for number in range(n_texts)], tokenizer)
    assert found.lengths.tolist() == [number % 7 for number in range(n_texts)]


def test_a_sentence_of_just_the_limit_is_not_counted(tokenizer: Tokenizer) -> None:
    _, notes = tokenize(examples_of(["cat " * 126, "cat"]), tokenizer)
    assert notes == ()


def test_long_sentences_are_cut_and_counted(tokenizer: Tokenizer) -> None:
    splits, notes = tokenize(examples_of(["cat " * 200, "cat"]), tokenizer)
    assert splits["sst"]["dev"].sentence1.lengths.tolist() == [126, 1]
    assert "sst-dev: 1 sentence cut to 126 tokens" in notes
    assert "sts-train: 2 sentences cut to 126 tokens" in notes


def test_sentences_without_a_token_are_counted(tokenizer: Tokenizer) -> None:
    _, notes = tokenize(examples_of(["\u200b\u200b", "cat", "\u200b"]), tokenizer)
    assert notes[0].startswith("sst-train: 2 sentences without a token")
    assert notes[2].startswith("para-train: 4 sentences without a token")
    _, notes = tokenize(examples_of(["\u200b", "cat"]), tokenizer)
    assert notes[1].startswith("sst-dev: 1 sentence without a token")


class NounsOnly:
    """Calls every word a noun."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(word, "NN") for word in tokens]


def test_tags_lie_beside_the_tokens_of_every_split(tokenizer: Tokenizer, tagger: PosTagger) -> None:
    plain, _ = tokenize(examples_of(TEXT), tokenizer)
    splits, notes = tokenize(examples_of(TEXT), tokenizer, tagger)
    assert notes == ()
    for task, by_name in splits.items():
        for name, split in by_name.items():
            for own, other in (
                (split.sentence1, plain[task][name].sentence1),
                (split.sentence2, plain[task][name].sentence2),
            ):
                if own is None:
                    assert task == "sst"
                    continue
                assert other is not None
                assert other.tags is None
                assert own.tags is not None
                assert own.tokens.equal(other.tokens)
                assert own.tags.shape == own.tokens.shape
    tags = splits["sst"]["train"].sentence1.tags
    assert tags is not None
    assert [TAGS[number] for number in tags[:4].tolist()][:2] == ["DET", "NOUN"]  # "The cat"


def test_tags_of_long_sentences_are_cut_with_their_tokens(tokenizer: Tokenizer) -> None:
    nouns = PosTagger(NounsOnly(), "nouns")
    splits, _ = tokenize(examples_of(["cat " * 200, "cat"]), tokenizer, nouns)
    tags = splits["sst"]["dev"].sentence1.tags
    assert tags is not None
    assert tags.tolist() == [TAGS.index("NOUN")] * 127


def test_limit_leaves_room_for_special_tokens() -> None:
    assert MAX_SENTENCE_TOKENS == 126
