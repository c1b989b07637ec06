"""Tokenizers and the tokens they give."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from trainable.data import tokenize as module
from trainable.data.examples import Examples, collect, to_schema
from trainable.data.tokenize import SPECIAL_TOKENS, load_tokenizer, tokenize, train_wordpiece
from trainable.errors import InputError
from trainable.tasks import TASK_NAMES

TEXT = ["The cat sat .", "The cats sat down !", "A dog , unlike cats , barks ."]
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30)
sentences = st.lists(text.filter(lambda t: bool(t.strip())), min_size=1, max_size=40)


def examples_of(texts: list[str], cache_dir: Path | None = None) -> Examples:
    table = pa.table(
        {
            "id": [str(i) for i in range(len(texts))],
            "sentence1": texts,
            "sentence2": texts[::-1],
            "label": [1.0] * len(texts),
        }
    )
    splits = {
        task: {split: to_schema(table, task, split, "test")[0] for split in ("train", "dev")}
        for task in TASK_NAMES
    }
    return collect(splits, cache_dir=cache_dir)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece(TEXT, 200)


def test_vocabulary_is_special_tokens_characters_and_frequent_words(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("THE cats", add_special_tokens=False).tokens == ["the", "cats"]
    assert tokenizer.encode("tac", add_special_tokens=False).tokens == ["t", "##a", "##c"]


def test_vocabulary_keeps_to_its_size_and_to_the_most_frequent_words() -> None:
    full = train_wordpiece(TEXT, 200).get_vocab()
    rare = {"barks", "cat", "dog", "down", "unlike"}  # once each; "the", "sat", "cats" twice
    cut = train_wordpiece(TEXT, len(full) - len(rare)).get_vocab()
    assert set(full) - set(cut) == rare
    with pytest.raises(InputError, match="vocab_size 8 is too small"):
        train_wordpiece(TEXT, 8)


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
    assert notes == ()


def test_long_sentences_are_cut_and_counted(tokenizer: Tokenizer) -> None:
    splits, notes = tokenize(examples_of(["cat " * 200, "cat"]), tokenizer)
    assert splits["sst"]["dev"].sentence1.lengths.tolist() == [126, 1]
    assert "sst-dev: 1 sentence cut to 126 tokens" in notes
    assert "sts-train: 2 sentences cut to 126 tokens" in notes


def test_second_start_does_not_tokenise_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    examples = examples_of(TEXT, tmp_path)
    first, _ = tokenize(examples, tokenizer)
    files = set(tmp_path.iterdir())
    assert len(files) == 6
    times = {path: path.stat().st_mtime_ns for path in files}
    again, _ = tokenize(examples_of(TEXT, tmp_path), tokenizer)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    assert again["sts"]["dev"].sentence1.tokens.equal(first["sts"]["dev"].sentence1.tokens)
    tokenize(examples, train_wordpiece(TEXT, tokenizer.get_vocab_size() - 1))
    assert len(set(tmp_path.iterdir())) == 12


def test_checkpoint_folders_with_either_file_give_the_same_tokens(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "text").mkdir()
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.enable_padding(length=64)
    copy.enable_truncation(3)
    copy.save(str(tmp_path / "json" / "tokenizer.json"))
    vocab = sorted(tokenizer.get_vocab(), key=lambda token: tokenizer.get_vocab()[token])
    (tmp_path / "text" / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    for folder in ("json", "text"):
        loaded = load_tokenizer(tmp_path / folder)
        assert [loaded.encode(t, add_special_tokens=False).ids for t in TEXT] == [
            tokenizer.encode(t, add_special_tokens=False).ids for t in TEXT
        ]


def test_cased_vocabulary_keeps_capitals(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "Cat", "cat"]))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert load_tokenizer(tmp_path).encode("Cat", add_special_tokens=False).tokens == ["Cat"]


def test_bad_tokenizer_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json or vocab\.txt in"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\ncat\n")
    with pytest.raises(InputError, match=r"lacks \[PAD\], \[CLS\], \[SEP\], \[MASK\]"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot read the tokenizer .*tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_limit_leaves_room_for_special_tokens() -> None:
    assert module.MAX_SENTENCE_TOKENS == 126
