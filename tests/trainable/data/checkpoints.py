"""Tokenizers of BERT checkpoints in all their layouts, and texts on which their settings show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer

from trainable.data.tokenizer import SPECIAL_TOKENS

WORDS = [
    *("Cat", "cat", "CAFÉ", "Café", "café", "cafe", "naïve", "naive", "über", "uber", "Über"),
    *("中文", "中", "文", "字", "日本", "日", "本", "語", "🙂", "the", "The", "##s", "!", ",", "'"),
    *("[", "]", "PAD", "pad", "MASK", "mask", "SEP", "sep", "e", "E", "é", "É", "a", "A", "$"),
]
VOCABULARY = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *WORDS])}
TEXTS = [
    *("Cat", "cat", "the Cats", "CAFÉ", "Café café cafe", "naïve", "Über uber über", "É e E é"),
    *("中文", "中文字", "日本語", "cat中文cat", "the 中 cat", "🙂 cat🙂", "cat [SEP] Cat", "[PAD]"),
    *("the [MASK] cat", "[sep] [Mask]", "Cat's, the [CLS]cat!", "unknown $ \u00a0 cafe\u0301"),
]
SETTINGS: list[dict[str, Any]] = [
    {"do_lower_case": lower, **more}
    for lower in (True, False)
    for more in (
        {},
        {"strip_accents": True},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False, "strip_accents": None},
    )
]
LAYOUTS = ("tokenizer.json", "vocab.txt", "both")


def write_tokenizer(folder: Path, layout: str, settings: dict[str, Any]) -> Path:
    """Write the tokenizer of a BERT checkpoint, as transformers lays it out, or as Google did."""
    folder.mkdir(parents=True, exist_ok=True)
    BertTokenizer(vocab=VOCABULARY, **settings).save_pretrained(folder)
    if layout != "tokenizer.json":
        (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    if layout == "vocab.txt":
        (folder / "tokenizer.json").unlink()
    if not (folder / "config.json").exists():
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return folder


def ids(tokenizer: Tokenizer, texts: Sequence[str] = TEXTS) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def ids_of_transformers(folder: Path) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
