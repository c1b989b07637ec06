"""Write a trained run for other programs: a Hugging Face encoder folder, and the heads."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from torch import nn

from trainable.cache.files import write_bytes, write_json, write_tensors, write_text
from trainable.data.special_tokens import special_names, special_tokens
from trainable.model.architectures import ARCHITECTURES, config_fields
from trainable.model.weights import to_hugging_face
from trainable.training.loop import Run
from trainable.training.multitask_bert import SHARED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def write_encoder(run: Run, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer; a vocab.txt, if it is WordPiece.

    `AutoModel` and `AutoTokenizer` of transformers and our own `--encoder folder` load it. Where
    each task has its own encoder, they are written to folders with the names of the tasks.
    """
    for name, encoder in run.model.encoders.items():
        _write(run, encoder, folder if name == SHARED else folder / name)


def _write(run: Run, module: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pretrained, encoder = run.inputs.pretrained, run.config.encoder
    config = {
        "pad_token_id": special_tokens(pretrained.tokenizer).pad,
        **config_fields(pretrained.shape, encoder.dropout, encoder.attention_dropout),
    }
    write_json(folder / "config.json", config)
    tensors = to_hugging_face(module.state_dict(), pretrained.shape)
    write_tensors(folder / "model.safetensors", tensors)
    _write_tokenizer(pretrained.tokenizer, pretrained.shape.model_type, folder)


def _write_tokenizer(tokenizer: Tokenizer, model_type: str, folder: Path) -> None:
    """Write what `AutoTokenizer` needs to give the same ids, and vocab.txt for older programs."""
    with TemporaryDirectory() as temporary:
        _for_transformers(tokenizer, model_type).save_pretrained(temporary)
        for path in sorted(Path(temporary).iterdir()):
            write_bytes(folder / path.name, path.read_bytes())
    if not isinstance(tokenizer.model, WordPiece):
        return
    vocabulary = tokenizer.get_vocab()
    lines = [""] * (1 + max(vocabulary.values()))  # the line of a token is its id
    for token, number in vocabulary.items():
        lines[number] = token
    write_text(folder / "vocab.txt", "\n".join(lines) + "\n")


def _for_transformers(tokenizer: Tokenizer, model_type: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer as an object of transformers.

    It is of the class that every version knows, such as `BertTokenizer`, where that one can say all
    that the tokenizer does.
    """
    # Only exports need it, and the import takes a second.
    from transformers import PreTrainedTokenizerFast, RobertaTokenizer, XLMRobertaTokenizer

    ours = _description(tokenizer)
    # Segments, which other encoders than BERT do not read, are no input of theirs.
    inputs = {} if model_type == "bert" else {"model_input_names": ["input_ids", "attention_mask"]}
    names = special_names(tokenizer.get_vocab())
    special = {f"{role}_token": token for role, token in names.items()}
    if (ours["normalizer"] or {}).get("type") == "BertNormalizer":
        bert = _as_bert_tokenizer(tokenizer, ours["normalizer"], model_type, inputs)
        if _is_same(bert, ours, ("model", "normalizer", "pre_tokenizer", "added_tokens")):
            return bert
    plain = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **special, **inputs
    )
    classes: dict[str, type[PreTrainedTokenizerFast]] = {
        "BPE": RobertaTokenizer,
        "Unigram": XLMRobertaTokenizer,
    }
    own_class = classes.get(ours["model"]["type"])
    if own_class is None:
        return plain
    space = (ours["pre_tokenizer"] or {}).get("add_prefix_space", own_class is XLMRobertaTokenizer)
    with TemporaryDirectory() as folder:
        plain.save_pretrained(folder)
        own = own_class.from_pretrained(folder, add_prefix_space=space)
    parts = ("model", "normalizer", "pre_tokenizer", "post_processor", "added_tokens")
    return own if _is_same(own, ours, parts) else plain


def _as_bert_tokenizer(
    tokenizer: Tokenizer, normalizer: dict[str, Any], model_type: str, inputs: dict[str, Any]
) -> PreTrainedTokenizerFast:
    """Return the tokenizer of BERT or DistilBERT with the same vocabulary and settings."""
    from transformers import BertTokenizer, DistilBertTokenizer

    own_class = DistilBertTokenizer if model_type == "distilbert" else BertTokenizer
    return own_class(
        vocab=tokenizer.get_vocab(with_added_tokens=False),
        do_lower_case=normalizer["lowercase"],
        tokenize_chinese_chars=normalizer["handle_chinese_chars"],
        strip_accents=normalizer["strip_accents"],
        **inputs,
    )


def _is_same(own: PreTrainedTokenizerFast, ours: dict[str, Any], parts: tuple[str, ...]) -> bool:
    theirs = _description(own.backend_tokenizer)
    return all(theirs[part] == ours[part] for part in parts)


def _description(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return all of a tokenizer. Scores of pieces may change in the last digit in each file."""
    description: dict[str, Any] = json.loads(tokenizer.to_str(), parse_float=_rounded)
    return description


def _rounded(digits: str) -> float:
    return round(float(digits), 9)


def write_heads(run: Run, folder: Path) -> None:
    """Write heads.safetensors and run_config.json.

    The former has all that an encoder folder cannot hold: also a table of parts of speech, and the
    pooler of an encoder whose class in transformers has none.
    """
    ours = ["encoders.*.embeddings.tag.*"]
    if not ARCHITECTURES[run.inputs.pretrained.shape.model_type].has_pooler:
        ours.append("encoders.*.pooler.*")
    tensors = {
        name: t.detach().cpu()
        for name, t in run.model.state_dict().items()
        if not name.startswith("encoders.") or any(fnmatchcase(name, own) for own in ours)
    }
    write_tensors(folder / "heads.safetensors", tensors)
    write_json(folder / "run_config.json", run.config.to_dict())
