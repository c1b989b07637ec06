"""Write a trained run for other programs: a Hugging Face encoder folder, and the heads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tokenizers import Tokenizer
from torch import nn

from trainable.cache.files import write_bytes, write_json, write_tensors, write_text
from trainable.model.weights import to_hugging_face
from trainable.training.loop import Run
from trainable.training.multitask_bert import SHARED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def write_encoder(run: Run, folder: Path) -> None:
    """Write config.json, model.safetensors, the tokenizer and its vocab.txt.

    `BertModel` and `AutoTokenizer` of transformers and our own `--encoder folder` load it. Where
    each task has its own encoder, they are written to folders with the names of the tasks.
    """
    for name, encoder in run.model.encoders.items():
        _write(run, encoder, folder if name == SHARED else folder / name)


def _write(run: Run, module: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pretrained, encoder = run.inputs.pretrained, run.config.encoder
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "hidden_dropout_prob": encoder.dropout,
        "attention_probs_dropout_prob": encoder.attention_dropout,
        "pad_token_id": pretrained.tokenizer.token_to_id("[PAD]"),
        **asdict(pretrained.shape),
    }
    write_json(folder / "config.json", config)
    tensors = to_hugging_face(module.state_dict(), pretrained.shape)
    write_tensors(folder / "model.safetensors", tensors)
    _write_tokenizer(pretrained.tokenizer, folder)


def _write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write what `AutoTokenizer` needs to give the same ids, and vocab.txt for older programs."""
    with TemporaryDirectory() as temporary:
        _for_transformers(tokenizer).save_pretrained(temporary)
        for path in sorted(Path(temporary).iterdir()):
            write_bytes(folder / path.name, path.read_bytes())
    vocabulary = tokenizer.get_vocab()
    lines = [""] * (1 + max(vocabulary.values()))  # the line of a token is its id
    for token, number in vocabulary.items():
        lines[number] = token
    write_text(folder / "vocab.txt", "\n".join(lines) + "\n")


def _for_transformers(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Return the tokenizer as an object of transformers.

    That is a `BertTokenizer` where one can say all that the tokenizer does; every program knows it.
    """
    # Only exports need it, and the import takes a second.
    from transformers import BertTokenizer, PreTrainedTokenizerFast

    ours = json.loads(tokenizer.to_str())
    normalizer = ours["normalizer"] or {}
    if normalizer.get("type") == "BertNormalizer":
        bert = BertTokenizer(
            vocab=tokenizer.get_vocab(with_added_tokens=False),
            do_lower_case=normalizer["lowercase"],
            tokenize_chinese_chars=normalizer["handle_chinese_chars"],
            strip_accents=normalizer["strip_accents"],
        )
        theirs = json.loads(bert.backend_tokenizer.to_str())
        parts = ("model", "normalizer", "pre_tokenizer", "added_tokens")
        if all(theirs[part] == ours[part] for part in parts):
            return bert
    names = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
    special = {f"{name}_token": token for name, token in names.items()}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **special
    )


def write_heads(run: Run, folder: Path) -> None:
    """Write heads.safetensors (all that an encoder folder cannot hold) and run_config.json."""
    tensors = {
        name: t.detach().cpu()
        for name, t in run.model.state_dict().items()
        if not name.startswith("encoders.") or name.endswith(".embeddings.tag.weight")
    }
    write_tensors(folder / "heads.safetensors", tensors)
    write_json(folder / "run_config.json", run.config.to_dict())
