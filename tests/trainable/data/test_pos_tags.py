"""Words, their tags, and the tags of tokens."""

from __future__ import annotations

import json
import pickle
import zlib
from itertools import chain, pairwise
from pathlib import Path

import nltk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tag import PerceptronTagger
from tokenizers import Tokenizer

from trainable.data.features import TAGS
from trainable.data.pos_tags import PosTagger, load_tagger, perceptron_digest, word_spans
from trainable.data.tokenizer import train_wordpiece
from trainable.errors import InputError

PENN = ["NN", "VBZ", "PRP$", "JJ", "RB", "IN", "CC", "DT", "CD", "RP", "FW", ","]
UNIVERSAL = ["NOUN", "VERB", "PRON", "ADJ", "ADV", "ADP", "CONJ", "DET", "NUM", "PRT", "X", "."]


class ByChecksum:
    """Gives a word one of twelve tags, always the same."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(word, PENN[zlib.crc32(word.encode()) % len(PENN)]) for word in tokens]


def expected_tag(word: str) -> str:
    return UNIVERSAL[zlib.crc32(word.encode()) % len(UNIVERSAL)]


by_checksum = PosTagger(ByChecksum(), "checksum")


letters_only = train_wordpiece(["abc cab bac , ? ( . - 0 1"], 60)


def tags_of(
    text: str, tagger: PosTagger = by_checksum, tokenizer: Tokenizer = letters_only
) -> list[str]:
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return [TAGS[number] for number in tagger.token_tags(text, encoding.offsets)]


# Accents in one character and in two, letters that become two when lowered, letters and signs that
# the vocabulary lacks, and CJK, which becomes one token per character.
letters = st.sampled_from(["a", "b", "C", "é", "e\u0301", "İ", "ñ", "ß", "ж", "猫", "_"])
plain = st.lists(letters, min_size=1, max_size=6).map("".join)
compound = st.lists(plain, min_size=2, max_size=3).map("-".join)
number = st.from_regex(r"[0-9]{1,4}([.,][0-9]{1,3})?", fullmatch=True)
sign = st.sampled_from([",", "?", "...", "--", "(", "$", "€", "🙂"])
words = st.lists(st.one_of(plain, compound, number, sign), min_size=1, max_size=8)


@given(words)
def test_every_token_of_a_word_has_the_tag_of_the_word(words: list[str]) -> None:
    n_tokens = [len(letters_only.encode(word, add_special_tokens=False)) for word in words]
    expected = [[expected_tag(word)] * n for word, n in zip(words, n_tokens, strict=True)]
    assert tags_of(" ".join(words)) == list(chain(*expected))


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
prose = st.text("ab. ,'n’t\"-`\n1", max_size=30)


@given(text | prose)
def test_every_character_but_white_space_is_in_one_word(text: str) -> None:
    spans = word_spans(text)
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@given(text | prose)
def test_every_token_of_any_text_has_a_tag(text: str) -> None:
    assert all(tags_of(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't think it's John's.", "I do n't think it 's John 's ."),
        ("We’re sure they CAN’T.", "We ’re sure they CA N’T ."),
        ("It does n't .", "It does n't ."),
        ("Is it? Yes. So...", "Is it ? Yes . So ..."),
        ("well-known U.S. firm, 1,000.5 -- (2/3)", "well-known U.S. firm , 1,000.5 -- ( 2/3 )"),
        ('He said "no"``x\'\'', 'He said " no " `` x \'\''),
        ("   ", ""),
    ],
)  # fmt: skip
def test_words_are_those_of_the_penn_treebank(text: str, expected: str) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == expected.split()


def test_quotes_reach_the_tagger_as_the_treebank_writes_them() -> None:
    seen: list[str] = []

    class Listening:
        def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
            seen.extend(tokens)
            return [(token, "NN") for token in tokens]

    tags_of('“a” it’s "b"', PosTagger(Listening(), "listening"))
    assert seen == ["``", "a", "''", "it", "'s", "''", "b", "''"]


def test_a_trained_tagger_tags_tokens(tagger: PosTagger) -> None:
    tokenizer = train_wordpiece(["the cat doesn ' t sleep . then"] * 2, 60)
    text = "The cat doesn't sleeps ."
    tokens = tokenizer.encode(text, add_special_tokens=False).tokens
    assert list(zip(tokens, tags_of(text, tagger, tokenizer), strict=True)) == [
        ("the", "DET"),
        ("cat", "NOUN"),
        ("doesn", "VERB"),  # its first letter is of "does"
        ("'", "ADV"),
        ("t", "ADV"),
        ("sleep", "VERB"),
        ("##s", "VERB"),
        (".", "."),
    ]


def test_a_token_that_begins_between_words_has_no_tag(tagger: PosTagger) -> None:
    offsets = [(0, 3), (3, 4), (4, 7), (7, 7)]  # a word, the blank behind it, a word, its end
    tags = tagger.token_tags("the cat", offsets)
    assert [tag > 0 for tag in tags] == [True, False, True, False]


def save(tagger: PerceptronTagger, folder: Path) -> None:
    """Write the three files of NLTK's package."""
    folder.mkdir(parents=True)
    weights, tagdict, classes = tagger.encode_json_obj()
    parts = {"weights": weights, "tagdict": tagdict, "classes": classes}
    for name, part in parts.items():
        (folder / f"averaged_perceptron_tagger_eng.{name}.json").write_text(json.dumps(part))


def test_the_tagger_is_downloaded_and_read_as_json(
    tagger: PosTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deliver(name: str, **_: object) -> bool:
        save(tagger.tagger, tmp_path / "taggers" / name)
        return True

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", deliver)
    loaded = load_tagger()
    assert loaded.digest == tagger.digest
    words = ["the", "dog", "sleeps"]
    assert loaded.tagger.tag(words) == tagger.tagger.tag(words)


class WritesFile:
    """What a hostile pickle does when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "was read"
    hostile = pickle.dumps(WritesFile(trace))
    for name in ("averaged_perceptron_tagger", "averaged_perceptron_tagger_eng"):
        (tmp_path / "taggers" / name).mkdir(parents=True)
    save(PerceptronTagger(load=False), tmp_path / "other")
    for name in ("averaged_perceptron_tagger", "averaged_perceptron_tagger_eng"):
        (tmp_path / "taggers" / name / f"{name}.pickle").write_bytes(hostile)
    eng = tmp_path / "taggers" / "averaged_perceptron_tagger_eng"
    for path in (tmp_path / "other").iterdir():
        path.rename(eng / path.name)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    load_tagger()
    assert not trace.exists()
    pickle.loads(hostile)
    assert trace.exists()


def test_the_digest_follows_the_model(tagger: PosTagger) -> None:
    assert isinstance(tagger.tagger, PerceptronTagger)
    weights, tagdict, classes = tagger.tagger.encode_json_obj()
    turned = PerceptronTagger.decode_json_obj((weights, tagdict, classes[::-1]))
    assert perceptron_digest(turned) == tagger.digest
    other = PerceptronTagger.decode_json_obj((weights, tagdict | {"dog": "NN"}, classes))
    assert perceptron_digest(other) != tagger.digest


def test_a_missing_model_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    with pytest.raises(
        InputError, match=r"^features\.pos_tags needs .* averaged_perceptron_tagger"
    ):
        load_tagger()


def test_the_real_tagger_knows_english() -> None:
    try:
        nltk.data.find("taggers/averaged_perceptron_tagger_eng/")
    except LookupError:
        pytest.skip("run: python -m nltk.downloader averaged_perceptron_tagger_eng")
    text = "John's big idea isn't all that bad."
    tags = load_tagger().token_tags(text, word_spans(text))
    # From the documentation of nltk.pos_tag with the universal tags.
    expected = ["NOUN", "PRT", "ADJ", "NOUN", "VERB", "ADV", "DET", "DET", "ADJ", "."]
    assert [TAGS[number] for number in tags] == expected
