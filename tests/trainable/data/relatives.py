"""RoBERTa, XLM-R and DistilBERT: tokenizers made from a few sentences, and random weights."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import NFKC
from tokenizers.pre_tokenizers import Metaspace, Sequence, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import UnigramTrainer
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tests.trainable.data.checkpoints import VOCABULARY

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_TEXT = [
    *("the cat sat on the mat", "The dog barks at a café", "naïve 中文 日本語 text 🙂 here"),
    *("hello world, it's fine", "cats and dogs don't sit", "Über die Straße, 2.5 km"),
] * 3
TEXTS = [
    *("the cat sat", "The Cat SAT", " a space before", "and after ", "two  spaces\tand a tab"),
    *("café", "cafe\u0301", "naïve Über Straße", "中文 日本語", "中文cat中文", "🙂 cat🙂", ""),
    *("👩\u200d👩\u200d👧", "it's fine, isn't it?", "2.5 km: $3", "the <mask> cat", "[SEP] [CLS]"),
    *("cat</s>dog <s> <pad>", "zero\u200bwidth\u00a0space", "unknown ᚠᛇᚻ Ж", "\n", "a" * 40),
]
# Name -> `model_type`.
LAYOUTS = {
    "roberta, tokenizer.json": "roberta",
    "roberta, vocab.json": "roberta",
    "roberta, prefix space": "roberta",
    "roberta, WordPiece": "roberta",
    "xlm-roberta": "xlm-roberta",
    "distilbert": "distilbert",
    "distilbert, cased": "distilbert",
}


@cache
def _byte_pairs() -> ByteLevelBPETokenizer:
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(_TEXT, 400, min_frequency=1, special_tokens=SPECIAL)
    return tokenizer


def _unigrams() -> Tokenizer:
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = NFKC()
    tokenizer.pre_tokenizer = Sequence([WhitespaceSplit(), Metaspace()])
    trainer = UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>")
    tokenizer.train_from_iterator(_TEXT, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def write_relative(folder: Path, layout: str) -> Path:
    """Write the tokenizer of a checkpoint and a config.json with its `model_type`."""
    folder.mkdir(parents=True, exist_ok=True)
    if "vocab.json" in layout or "prefix" in layout:
        _byte_pairs().save_model(str(folder))
        settings = {"add_prefix_space": "prefix" in layout, "tokenizer_class": "RobertaTokenizer"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    elif layout == "roberta, WordPiece":
        BertTokenizer(vocab=VOCABULARY).save_pretrained(folder)
    elif layout.startswith("roberta"):
        # As RoBERTa's own: <mask> takes the space before it.
        description = json.loads(_byte_pairs().to_str())
        description["added_tokens"][4]["lstrip"] = True
        (folder / "tokenizer.json").write_text(json.dumps(description))
    elif layout == "xlm-roberta":
        _unigrams().save(str(folder / "tokenizer.json"))
    else:
        lower = layout == "distilbert"
        DistilBertTokenizer(vocab=VOCABULARY, do_lower_case=lower).save_pretrained(folder)
    config = folder / "config.json"
    known = json.loads(config.read_text()) if config.exists() else {}
    config.write_text(json.dumps({"model_type": LAYOUTS[layout], **known}))
    return folder


def write_own_kind(folder: Path, pair: str, **names: str) -> Path:
    """Write a byte-level tokenizer that puts `pair` around sentences, as the library names it."""
    tokenizer = Tokenizer.from_str(_byte_pairs().to_str())
    special = [(token, tokenizer.token_to_id(token)) for token in SPECIAL]
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=special
    )
    tokens = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"} | names
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, mask_token="<mask>", unk_token="<unk>", **tokens
    ).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    return folder


def write_relative_encoder(
    folder: Path, layout: str, kind: type[PreTrainedModel] | None = None, **values: Any
) -> Path:
    """Write the smallest encoder that a run can start from, with random weights.

    Args:
        folder: Gets its files, those of the tokenizer too.
        layout: Of the tokenizer.
        kind: Class of the model, if it has a head.
        values: Fields of its configuration.
    """
    write_relative(folder, layout)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    defaults: dict[str, Any] = {
        "vocab_size": 1 + max(tokenizer.get_vocab().values()),
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    if LAYOUTS[layout] == "distilbert":
        defaults |= {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
        config: Any = DistilBertConfig(**(defaults | {"max_position_embeddings": 255} | values))
        model: Any = (kind or DistilBertModel)(config)
    else:
        is_roberta = LAYOUTS[layout] == "roberta"
        defaults |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        defaults |= {"intermediate_size": 24, "max_position_embeddings": 258, "type_vocab_size": 1}
        config_class = RobertaConfig if is_roberta else XLMRobertaConfig
        model_class = RobertaModel if is_roberta else XLMRobertaModel
        defaults["layer_norm_eps"] = 1e-5
        model = (kind or model_class)(config_class(**(defaults | values)))
    model.save_pretrained(folder)
    return folder
