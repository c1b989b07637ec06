from __future__ import annotations

import contextlib
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerFast
from transformers.models.bert_japanese.tokenization_bert_japanese import (
    BasicTokenizer,
    WordpieceTokenizer,
)

from tests.trainable.data.checkpoints import (
    LAYOUTS,
    SETTINGS,
    TEXTS,
    VOCABULARY,
    ids,
    ids_of_transformers,
    write_tokenizer,
)
from trainable.data.tokenizer import SPECIAL_TOKENS, load_tokenizer, train_wordpiece
from trainable.errors import InputError

TEXT = ["The cat sat .", "The cats sat down !", "A dog , unlike cats , barks ."]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece(TEXT, 200)


def test_vocabulary_is_special_tokens_characters_and_frequent_words(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("THE cats", add_special_tokens=False).tokens == ["the", "cats"]
    assert tokenizer.encode("tac", add_special_tokens=False).tokens == ["t", "##a", "##c"]


def test_words_that_are_equally_frequent_stand_in_alphabetical_order() -> None:
    for words in ("pear fig kiwi", "kiwi pear fig", "fig kiwi pear"):
        vocab = train_wordpiece([words], 200).get_vocab()
        assert vocab["fig"] < vocab["kiwi"] < vocab["pear"]


def test_vocabulary_keeps_to_its_size_and_to_the_most_frequent_words() -> None:
    full = train_wordpiece(TEXT, 200).get_vocab()
    rare = {"barks", "cat", "dog", "down", "unlike"}  # once each; "the", "sat", "cats" twice
    cut = train_wordpiece(TEXT, len(full) - len(rare)).get_vocab()
    assert set(full) - set(cut) == rare


def test_a_text_with_too_many_characters_is_refused_with_the_option_that_helps() -> None:
    letters = [chr(0x4E00 + n) for n in range(398)]
    train_wordpiece(letters[:-1], 800)
    what = "have 398 different characters; the tiny encoder.* has room for 397; give .*--encoder"
    with pytest.raises(InputError, match=what):
        train_wordpiece(letters, 800)


# Checkpoints


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_are_those_of_transformers(
    tmp_path: Path, layout: str, settings: dict[str, Any]
) -> None:
    folder = write_tokenizer(tmp_path / "bert", layout, settings)
    found = ids(load_tokenizer(folder))
    assert found == ids_of_transformers(folder)
    # And those of the slow definition of BERT's tokenizer, whichever way the folder was laid out.
    basic = BasicTokenizer(
        settings["do_lower_case"],
        never_split=SPECIAL_TOKENS,
        tokenize_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
    )
    pieces = WordpieceTokenizer(VOCABULARY, unk_token="[UNK]")
    for text, own in zip(TEXTS, found, strict=True):
        if "[CLS]cat" in text or not unicodedata.is_normalized("NFC", text):
            continue  # the slow one needs blanks around a special token, and composes letters
        words = basic.tokenize(text)
        expected = [p for w in words for p in ([w] if w in SPECIAL_TOKENS else pieces.tokenize(w))]
        assert [VOCABULARY[piece] for piece in expected] == own, text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_without_settings_is_read_as_transformers_reads_it(
    tmp_path: Path, layout: str
) -> None:
    folder = write_tokenizer(tmp_path / "bert", layout, {"do_lower_case": False})
    (folder / "tokenizer_config.json").unlink()
    assert ids(load_tokenizer(folder)) == ids_of_transformers(folder)


def test_a_tokenizer_json_of_its_own_kind_is_read_as_it_is(tmp_path: Path) -> None:
    """Words of the domain that are never cut, and no normaliser of BERT."""
    own = Tokenizer(WordPiece(VOCABULARY, unk_token="[UNK]"))
    own.normalizer = Lowercase()
    own.pre_tokenizer = BertPreTokenizer()
    own.add_tokens(["Cat's"])
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    PreTrainedTokenizerFast(
        tokenizer_object=own, mask_token="[MASK]", unk_token="[UNK]", **special
    ).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    loaded = load_tokenizer(tmp_path)
    assert ids(loaded) == ids_of_transformers(tmp_path)
    assert loaded.encode("Cat's", add_special_tokens=False).tokens == ["cat's"]


def test_special_tokens_in_a_text_are_not_cut(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """By no tokenizer: neither that of a checkpoint nor that of `tiny`."""
    folder = write_tokenizer(tmp_path / "bert", "vocab.txt", {})
    for own in (tokenizer, load_tokenizer(folder)):
        encoded = own.encode("cat [MASK][SEP]", add_special_tokens=False)
        assert encoded.tokens[1:] == ["[MASK]", "[SEP]"]


def test_padding_and_truncation_of_a_checkpoint_are_switched_off(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.enable_padding(length=64)
    copy.enable_truncation(3)
    copy.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert ids(load_tokenizer(tmp_path), TEXT) == ids(tokenizer, TEXT)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
def test_blank_lines_at_the_end_of_a_vocabulary_are_no_tokens(tmp_path: Path, end: str) -> None:
    folder = write_tokenizer(tmp_path / "bert", "vocab.txt", {})
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + end, encoding="utf-8")
    loaded = load_tokenizer(folder)
    assert loaded.get_vocab() == VOCABULARY
    assert ids(loaded) == ids_of_transformers(folder)


def test_bad_tokenizer_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match=r"no tokenizer\.json, vocab\.txt or vocab\.json in"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\ncat\n")
    with pytest.raises(InputError, match=r"lacks \[PAD\], \[CLS\], \[SEP\], \[MASK\]"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read the tokenizer .*vocab\.txt"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot read the tokenizer .*tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_code_that_comes_with_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "bert", "vocab.txt", {})
    (folder / "own.py").write_text("raise SystemExit('this was run')\n")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}, "tokenizer_class": "Own"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with contextlib.suppress(InputError):  # it may be refused, too
        load_tokenizer(folder)
