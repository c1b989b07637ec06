"""Which pretrained encoder a run starts from: `tiny`, a Hugging Face folder, or a Hub id."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from pydantic import Field
from tokenizers import Tokenizer

from trainable.cache.files import user_path
from trainable.component import Choice, Component, FloatRange, Needs, PriorWeights
from trainable.data.special_tokens import special_tokens
from trainable.data.tokenize import MAX_SENTENCE_TOKENS
from trainable.data.tokenizer import load_tokenizer, train_wordpiece
from trainable.errors import InputError
from trainable.model.bert import BertShape, MinBert
from trainable.model.dropout import Dropout
from trainable.model.weights import Parameters, has_pooler, read_shape, shared_weights

TINY = "tiny"
LONGEST_SEQUENCE = 2 * MAX_SENTENCE_TOKENS + 3  # [CLS] s1 [SEP] s2 [SEP]; RoBERTa's has 1 more
_TINY_VOCABULARY = 800
# What is downloaded of a Hub id. Whatever says how text is cut into tokens belongs to it.
_FILES = (
    *("config.json", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors"),
    *("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json"),
)


class EncoderConfig(Component):
    """The encoder.

    Attributes:
        source: `tiny` (2 layers, 64 wide, from scratch), a folder, or a Hub id.
        revision: Commit of the Hub id; None for `tiny` and folders.
        dropout: Hidden dropout of the encoder.
        attention_dropout: Dropout of attention weights. 0 is fastest and, for short sentences,
            no worse (MosaicBERT, arXiv:2312.17482, removes it too).
        sharing: `shared`: one encoder for all tasks; `per_task`: each task trains its own, at as
            many times the memory ("ensembling" in "Finetuning a multitask BERT", section 4).
    """

    source: str = TINY
    revision: str | None = None
    dropout: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.3)] = 0.1
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sharing: Annotated[
        Literal["shared", "per_task"],
        Choice(("shared", "per_task")),
        Needs(tasks=2),
        PriorWeights({"shared": 4}),
    ] = "shared"


@dataclass(frozen=True)
class Pretrained:
    """An encoder as all runs over it share it; nothing writes to it.

    Attributes:
        shape: Sizes.
        tokenizer: The encoder's own.
        parameters: Name -> float32 tensor on the CPU, in memory that all processes of a node share.
        notes: What a user should know of it; whole sentences.
    """

    shape: BertShape
    tokenizer: Tokenizer
    parameters: Parameters
    notes: tuple[str, ...] = ()


def load_pretrained(config: EncoderConfig, sentences: Iterable[str]) -> Pretrained:
    """Load an encoder and its tokenizer.

    Args:
        config: Which encoder.
        sentences: Training text. Only `tiny` reads it: its vocabulary is made from this text.

    Raises:
        InputError: The source cannot be had, or is of another architecture than those in
            `ARCHITECTURES`; the cache cannot be written to.
    """
    if config.source == TINY:
        return _tiny(train_wordpiece(sentences, _TINY_VOCABULARY))
    folder = find_folder(config.source, config.revision)
    shape = read_shape(folder)
    tokenizer = load_tokenizer(folder)
    n_tokens = 1 + max(tokenizer.get_vocab().values())
    if n_tokens > shape.vocab_size:
        raise InputError(
            f"encoder {config.source!r}: the tokenizer has {n_tokens} tokens, the embeddings "
            f"{shape.vocab_size}; tokenizer and weights are of different models"
        )
    special = special_tokens(tokenizer)
    if shape.first_position and shape.first_position != special.pad + 1:
        raise InputError(
            f"encoder {config.source!r}: pad_token_id is {shape.first_position - 1}, but the "
            f"tokenizer pads with {special.pad}, and positions are counted from it; tokenizer and "
            f"weights are of different models"
        )
    n_positions = shape.max_position_embeddings - shape.first_position
    longest = LONGEST_SEQUENCE - 1 + special.n_between
    if n_positions < longest:
        raise InputError(
            f"encoder {config.source!r}: it has {n_positions} positions, a pair of sentences may "
            f"need {longest}; choose another encoder"
        )
    notes: tuple[str, ...] = ()
    if not has_pooler(folder):
        notes = (
            f"encoder {config.source!r} has no pretrained pooler; where a pooling asks for it, it "
            f"starts from small random weights",
        )
    return Pretrained(shape, tokenizer, shared_weights(folder, shape), notes)


def pinned(config: EncoderConfig) -> EncoderConfig:
    """Return the encoder with an absolute folder, or with the commit that a Hub id stands for.

    Files and other machines get the result: it must mean the same there and next year.

    Raises:
        InputError: The encoder cannot be had.
    """
    if config.source == TINY:
        return config
    folder = find_folder(config.source, config.revision)
    if os.path.isdir(user_path(config.source)):
        return config.model_copy(update={"source": str(folder)})
    # The Hub's cache names a snapshot's folder by its commit.
    return config.model_copy(update={"revision": folder.name})


def find_folder(source: str, revision: str | None) -> Path:
    """Return the local folder of an encoder; a Hub id is downloaded unless it is in the cache."""
    folder = user_path(source)
    if os.path.isdir(folder):  # unlike Path's, it is False for a name that is too long
        return folder
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") != 1
    if looks_like_path:
        raise InputError(
            f"unknown encoder {source!r}: no such folder; allowed are 'tiny', a folder with "
            f"config.json and model.safetensors, or a Hub id such as google-bert/bert-base-uncased"
        )
    try:
        path = snapshot_download(
            source,
            revision=revision,
            allow_patterns=list(_FILES),
        )
    except (HFValidationError, OSError) as error:
        raise InputError(
            f"encoder {source!r} cannot be had from the Hugging Face Hub "
            f"({type(error).__name__}); check the id and the network, or give a local folder"
        ) from error
    return Path(path)


def build_encoder(
    pretrained: Pretrained,
    dropout: float,
    device: torch.device,
    generator: torch.Generator,
    *,
    attention_dropout: float = 0.0,
    n_tags: int = 0,
) -> MinBert:
    """Build an encoder to be trained; the pretrained tensors are copied, never shared.

    Args:
        pretrained: Sizes and weights.
        dropout: Hidden dropout.
        device: Device of the parameters.
        generator: On `device`; draws dropout's bits.
        attention_dropout: Dropout of attention weights.
        n_tags: Rows of the tag table, which begins at zero since no pretrained encoder has one; 0
            for an encoder without it.
    """
    with torch.device("meta"):
        encoder = MinBert(
            pretrained.shape,
            Dropout(dropout, generator),
            Dropout(attention_dropout, generator),
            n_tags,
        )
    copies = {name: t.to(device, copy=True) for name, t in pretrained.parameters.items()}
    if encoder.embeddings.tag is not None:
        weight = encoder.embeddings.tag.weight
        copies["embeddings.tag.weight"] = torch.zeros_like(weight, device=device)
    encoder.load_state_dict(copies, assign=True)
    return encoder.requires_grad_()


def _tiny(tokenizer: Tokenizer) -> Pretrained:
    """A BERT from scratch that trains in seconds on a CPU, the same on every machine."""
    shape = BertShape(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=LONGEST_SEQUENCE,
    )
    generator = torch.Generator().manual_seed(0)
    return Pretrained(shape, tokenizer, _random_parameters(shape, generator))


def _random_parameters(shape: BertShape, generator: torch.Generator) -> Parameters:
    """BERT's initialisation, except that a narrow model needs larger numbers than 0.02.

    Source: Devlin et al. 2019 use a normal of 0.02 at width 768. We use 0.6 / sqrt(width), which
    is 0.02 there too and keeps the signal of a 64-wide model alive.
    """
    scale = 0.6 / math.sqrt(shape.hidden_size)
    no_dropout = Dropout(0.0, generator)
    parameters = {}
    for name, tensor in MinBert(shape, no_dropout, no_dropout).state_dict().items():
        if "norm" in name:
            parameters[name] = torch.ones_like(tensor) if "weight" in name else tensor.zero_()
        elif name.endswith("bias"):
            parameters[name] = torch.zeros_like(tensor)
        else:
            parameters[name] = torch.randn(tensor.shape, generator=generator) * scale
    return parameters
