"""Copies of examples with synonyms, and WordNet as NLTK reads it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import nltk
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainable.cache.files import CACHE_VARIABLE
from trainable.data import synonyms
from trainable.data.dice import Dice
from trainable.data.examples import Examples, collect
from trainable.data.schema import to_schema
from trainable.data.synonyms import Lexicon, add_synonym_copies, load_wordnet, replace_words
from trainable.errors import InputError
from trainable.tasks import COURSE


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


_SYNONYMS = {
    "film": ("movie", "picture"),
    "dog": ("hound",),
    "big": ("large", "great", "huge"),
    "runs": ("races",),
}
small = Lexicon("small", lambda word: _SYNONYMS.get(word, ()), "small")
SENTENCES = ("A big dog runs .", "He saw it .", "The film runs , a big film !", "big")


def examples_of(sentences: tuple[str, ...] = SENTENCES) -> Examples:
    table = pa.table(
        {
            "id": [f"id {sentence}" for sentence in sentences],
            "sentence1": sentences,
            "sentence2": [f"{sentence} dog" for sentence in sentences],
            "label": [float(len(sentence) % 2) for sentence in sentences],
        }
    )
    splits = {
        task: {
            split: to_schema(table, COURSE[task], split, "a test")[0] for split in ("train", "dev")
        }
        for task in COURSE
    }
    return collect(COURSE, splits, ("a note",))


Row = tuple[str, str, str, float]


def train_rows(examples: Examples, task: str) -> list[Row]:
    rows = examples.splits[task]["train"].to_list()  # type: ignore[index]
    return [(row["id"], row["sentence1"], row["sentence2"], row["label"]) for row in rows]


words = st.sampled_from([*_SYNONYMS, "he", "the", "seen", "Film", "big-eyed", "dog's", ","])


@given(st.lists(words, max_size=8), st.integers(0, 1000))
def test_one_or_two_words_become_one_of_their_synonyms(words: list[str], seed: int) -> None:
    new = replace_words(" ".join(words), small, Dice(str(seed))).split()
    changed = [(old, word) for old, word in zip(words, new, strict=True) if old != word]
    assert all(word in _SYNONYMS[old] for old, word in changed)
    n_replaceable = sum(word in _SYNONYMS for word in words)
    assert len(changed) in ({0} if n_replaceable == 0 else {1, min(2, n_replaceable)})


def test_one_and_two_words_are_both_drawn() -> None:
    results = {replace_words("big film", small, Dice(str(seed))) for seed in range(100)}
    bigs, films = ("big", *_SYNONYMS["big"]), ("film", *_SYNONYMS["film"])
    assert results == {f"{big} {film}" for big in bigs for film in films} - {"big film"}


@pytest.mark.parametrize("task", COURSE)
def test_copies_follow_the_given_examples_with_their_labels(task: str) -> None:
    before, after = examples_of(), add_synonym_copies(examples_of(), 2, small, 0)
    given, rows = train_rows(before, task), train_rows(after, task)
    assert rows[: len(given)] == given
    copies = rows[len(given) :]
    assert copies
    originals = {row[0]: row for row in given}
    for name, first, second, label in copies:
        original = originals[name[: -len("~syn1")]]
        assert name[-len("~syn1") :] in ("~syn1", "~syn2")
        assert label == original[3]
        assert (first, second) != original[1:3]
        if COURSE[task].is_pair:  # type: ignore[index]
            assert second != original[2]
            assert (first == original[1]) == (first == "He saw it .")
        else:
            assert second == ""
    assert len({row[0] for row in rows}) == len(rows)
    assert len({(row[0].split("~")[0], *row[1:3]) for row in rows}) == len(rows)
    columns = ("id", "sentence1", "sentence2", "label")
    assert after.splits[task]["train"].features == before.splits[task]["train"].features  # type: ignore[index]
    assert after.splits[task]["train"].column_names == list(columns)  # type: ignore[index]
    assert after.splits[task]["dev"] is not None  # type: ignore[index]


def test_examples_without_synonyms_and_equal_copies_are_left_out() -> None:
    after = add_synonym_copies(examples_of(("He saw it .", "dog")), 2, small, 0)
    assert train_rows(after, "sst") == [
        ("id He saw it .", "He saw it .", "", 1.0),
        ("id dog", "dog", "", 1.0),
        ("id dog~syn1", "hound", "", 1.0),  # its second copy would be the same
    ]
    assert "sst-train: 1 example added with synonyms of small" in after.notes
    assert after.notes[0] == "a note"


def test_other_splits_and_contents_without_copies_are_unchanged() -> None:
    before = examples_of()
    after = add_synonym_copies(before, 1, small, 0)
    for task in COURSE:
        assert after.splits[task]["dev"] is before.splits[task]["dev"]
    assert after.fingerprint != before.fingerprint
    nothing = Lexicon("empty", lambda _: (), "empty")
    assert add_synonym_copies(before, 2, nothing, 0).fingerprint == before.fingerprint


def test_copies_depend_on_the_seed_and_not_on_the_order() -> None:
    copies = {
        seed: set(train_rows(add_synonym_copies(examples_of(), 1, small, seed), "sts"))
        for seed in range(2)
    }
    assert copies[0] != copies[1]
    turned = add_synonym_copies(examples_of(SENTENCES[::-1]), 1, small, 0)
    assert set(train_rows(turned, "sts")) == copies[0]
    two = add_synonym_copies(examples_of(), 2, small, 0)
    assert copies[0] < set(train_rows(two, "sts"))


def refuse(word: str) -> tuple[str, ...]:
    raise AssertionError(f"{word} looked up again")


def test_a_second_start_makes_no_copies_again() -> None:
    first = add_synonym_copies(examples_of(), 1, small, 0)
    second = add_synonym_copies(examples_of(), 1, Lexicon("small", refuse, "small"), 0)
    assert second.fingerprint == first.fingerprint
    assert train_rows(second, "para") == train_rows(first, "para")


OTHER: dict[str, Callable[[], object]] = {
    "sentences": lambda: add_synonym_copies(examples_of(SENTENCES[:-1]), 1, REFUSING, 0),
    "copies": lambda: add_synonym_copies(examples_of(), 2, REFUSING, 0),
    "lexicon": lambda: add_synonym_copies(examples_of(), 1, Lexicon("small", refuse, "new"), 0),
    "seed": lambda: add_synonym_copies(examples_of(), 1, REFUSING, 1),
}
REFUSING = Lexicon("small", refuse, "small")


@pytest.mark.parametrize("what", [*OTHER, "code"])
def test_copies_are_made_again_when_any_part_of_their_key_changes(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_synonym_copies(examples_of(), 1, small, 0)
    if what == "code":
        monkeypatch.setattr(synonyms, "code_digest", lambda *_: "other code")
    make = OTHER.get(what, lambda: add_synonym_copies(examples_of(), 1, REFUSING, 0))
    with pytest.raises(AssertionError, match="looked up again"):
        make()


def test_tasks_have_copies_of_their_own() -> None:
    after = add_synonym_copies(examples_of(), 1, small, 0)
    copies = [train_rows(after, task)[len(SENTENCES) :] for task in ("para", "sts")]
    assert copies[0] != copies[1]


# Synsets of a WordNet in small: part of speech, words, and how often the text that was counted has
# each of them.
_SYNSETS = [
    ("n", ["film", "movie", "moving_picture", "Film"], [9, 5, 0, 0]),
    ("n", ["film"], [3]),
    ("v", ["film", "shoot"], [2, 4]),
    ("v", ["run"], [20]),
    ("v", ["run", "operate"], [5, 3]),
    ("n", ["run", "tally"], [8, 1]),
    ("a", ["big", "large"], [30, 20]),
    ("n", ["not", "knot"], [0, 0]),
    ("v", ["ogle", "leer"], [0, 0]),
]
_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_NUMBERS = {"n": 1, "v": 2, "a": 3, "r": 4}


def write_wordnet(archive: zipfile.ZipFile) -> None:
    """Write the files of WordNet's own format that NLTK reads."""
    counts: list[str] = []
    for part, suffix in _FILES.items():
        data = "  1 WordNet 3.0 Copyright 2006 by Princeton University.\n"
        index: dict[str, list[int]] = {}
        for lex_id, (own, words, times) in enumerate(_SYNSETS):
            if own != part:
                continue
            entry = " ".join(f"{word} {lex_id:x}" for word in words)
            for word in {word.lower() for word in words}:
                index.setdefault(word, []).append(len(data))
            frames = " 00" if part == "v" else ""
            data += f"{len(data):08} 00 {part} {len(words):02x} {entry} 000{frames} | a gloss\n"
            for word, n in zip(words, times, strict=True):
                if n:
                    counts.append(f"{word}%{_NUMBERS[part]}:00:{lex_id:02}:: 1 {n}\n")
        lines = [
            f"{word} {part} {len(at)} 0 {len(at)} 0 {' '.join(f'{offset:08}' for offset in at)}\n"
            for word, at in sorted(index.items())
        ]
        archive.writestr(f"wordnet/data.{suffix}", data)
        archive.writestr(f"wordnet/index.{suffix}", "".join(lines))
        archive.writestr(f"wordnet/{suffix}.exc", "ran run\n" if part == "v" else "")
    archive.writestr("wordnet/cntlist.rev", "".join(sorted(counts)))
    archive.writestr("wordnet/lexnames", "00\tall\t1\n")
    archive.writestr("wordnet/index.sense", "")


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lexicon:
    def deliver(name: str, **_: object) -> bool:
        (tmp_path / "corpora").mkdir()
        with zipfile.ZipFile(tmp_path / "corpora" / f"{name}.zip", "w") as archive:
            write_wordnet(archive)
        return True

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", deliver)
    return load_wordnet()


def test_wordnet_is_known_by_its_contents(
    wordnet: Lexicon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_wordnet().digest == wordnet.digest
    with zipfile.ZipFile(tmp_path / "corpora" / "wordnet.zip", "w") as archive:
        monkeypatch.setitem(globals(), "_SYNSETS", _SYNSETS[:-1])
        write_wordnet(archive)
    other = load_wordnet()
    assert other.name == wordnet.name
    assert other.digest != wordnet.digest


def test_wordnet_gives_the_usual_meaning(wordnet: Lexicon) -> None:
    assert wordnet.name == "WordNet 3.0"
    assert wordnet.synonyms("film") == ("movie",)  # no "moving_picture", no verb
    assert wordnet.synonyms("run") == ("operate",)  # the verb, in its first sense with another word
    assert wordnet.synonyms("large") == ("big",)
    assert wordnet.synonyms("ogle") == ("leer",)  # never counted


def test_wordnet_leaves_inflected_function_and_unknown_words(wordnet: Lexicon) -> None:
    for word in ("films", "ran", "not", "nonesuch"):
        assert wordnet.synonyms(word) == ()


def test_a_missing_wordnet_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    with pytest.raises(InputError, match=r"^features\.synonym_copies needs NLTK's wordnet"):
        load_wordnet()


@pytest.mark.slow
def test_the_real_wordnet_has_synonyms() -> None:
    try:
        nltk.data.find("corpora/wordnet/")
    except LookupError:
        pytest.skip("run: python -m nltk.downloader wordnet")
    lexicon = load_wordnet()
    assert "movie" in lexicon.synonyms("film")
    assert "large" in lexicon.synonyms("big")
    assert lexicon.synonyms("films") == lexicon.synonyms("not") == lexicon.synonyms("can") == ()
