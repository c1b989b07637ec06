"""Read and write an encoder's weights in the Hugging Face layout, with our own reader.

Accepts checkpoints of the classes in `ARCHITECTURES` and of models with a head (prefix `bert.`,
say), with the LayerNorm names of 2018 (`gamma`, `beta`) and of today (`weight`, `bias`).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainable.cache.files import file_digest, read_json
from trainable.cache.mapped import code_digest, mapped
from trainable.errors import InputError, did_you_mean
from trainable.model import architectures, bert, shards
from trainable.model.architectures import ARCHITECTURES, Architecture, tensor_names
from trainable.model.bert import BertShape, MinBert
from trainable.model.dropout import Dropout
from trainable.model.shards import read_tensors, tensor_files, weight_files

Parameters = dict[str, Tensor]

_SCALE = 0.02  # BERT's initialisation
_PREFIX = re.compile("|".join(rf"^{re.escape(own.prefix)}" for own in ARCHITECTURES.values()))


def read_shape(folder: Path) -> BertShape:
    """Read the sizes from `config.json` of a Hugging Face folder.

    Fields that change nothing about the hidden states are not read: `chunk_size_feed_forward`,
    `use_cache`, `initializer_range`, `sinusoidal_pos_embds` (that table is among the weights),
    dropouts, BERT's and DistilBERT's `pad_token_id`, and those of heads and generation.

    Raises:
        InputError: No or broken config.json; another architecture; a field is missing, or has a
            value that changes what the encoder computes.
    """
    path = folder / "config.json"
    config = read_json(path, "give a Hugging Face folder of an encoder")
    if not isinstance(config, dict):
        raise InputError(f"{path}: a config is a JSON object, not {type(config).__name__}")
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise InputError(
            f"encoder {str(folder)!r}: model_type is {model_type!r}, only "
            f"{', '.join(map(repr, ARCHITECTURES))} can be run; choose a checkpoint of one of them"
        )
    architecture = ARCHITECTURES[model_type]
    for key, value in architecture.fixed.items():
        found = config.get(key, value)
        if found != value:
            raise InputError(
                f"encoder {str(folder)!r}: {key} is {found!r}, only {value!r} can be run; choose "
                f"another checkpoint"
            )
    sizes = _read_sizes(path, config, architecture)
    if model_type == "bert" and sizes["type_vocab_size"] < 2:
        raise InputError(
            f"{path}: type_vocab_size is {sizes['type_vocab_size']}; the two sentences of a pair "
            f"need 2 segments, choose a checkpoint that has them"
        )
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        width, heads = (architecture.sizes[f] for f in ("hidden_size", "num_attention_heads"))
        raise InputError(
            f"{path}: {width} {sizes['hidden_size']} is not a multiple of {heads} "
            f"{sizes['num_attention_heads']}"
        )
    sizes.setdefault("type_vocab_size", 0)
    first = _padding(path, config) + 1 if architecture.is_padding_first else 0
    return BertShape(**sizes, model_type=model_type, first_position=first)


def _read_sizes(path: Path, config: dict[str, Any], architecture: Architecture) -> dict[str, Any]:
    """Return field of `BertShape` -> its value in config.json."""
    fields = architecture.sizes
    for ours, theirs in fields.items():
        if theirs not in config and ours != "layer_norm_eps":
            raise InputError(f"{path}: field {theirs!r} is missing")
    sizes = {ours: config[theirs] for ours, theirs in fields.items() if theirs in config}
    for ours, value in sizes.items():
        wanted_type = float if ours == "layer_norm_eps" else int
        is_number = isinstance(value, wanted_type) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise InputError(f"{path}: field {fields[ours]!r} is {value!r}, not a positive number")
    return sizes


def _padding(path: Path, config: dict[str, Any]) -> int:
    """Return `pad_token_id`, from which positions are counted; transformers' default is 1."""
    padding = config.get("pad_token_id", 1)
    if not isinstance(padding, int) or isinstance(padding, bool) or padding < 0:
        raise InputError(
            f"{path}: pad_token_id is {padding!r}; positions are counted from it, so it must be a "
            f"whole number from 0"
        )
    return padding


def has_pooler(folder: Path) -> bool:
    """Whether a checkpoint has a pooler; those of language models and sentence encoders may not.

    Raises:
        InputError: As `read_weights`, of the files.
    """
    return any(_modern_name(name).startswith("pooler.") for name in tensor_files(folder))


def read_weights(folder: Path, shape: BertShape) -> Parameters:
    """Read the tensors of a Hugging Face folder as parameters of `MinBert`.

    A pooler that the checkpoint lacks starts afresh, as that of `BertModel` would: with weights
    from a normal distribution of 0.02, the same every time, and biases of zero.

    Returns:
        Name -> float32 tensor on the CPU.

    Raises:
        InputError: No whole safetensors files; a tensor is missing, of the wrong shape, or holds no
            plain floating point numbers.
    """
    names = tensor_names(shape)
    parameters: Parameters = {}
    if not ("pooler.dense.weight" in names and has_pooler(folder)):
        parameters = _fresh_pooler(shape.hidden_size)
        names = {ours: theirs for ours, theirs in names.items() if ours not in parameters}
    files = {_modern_name(name): (name, path) for name, path in tensor_files(folder).items()}
    wanted = [name for theirs in names.values() for name in theirs]
    for name in wanted:
        if name not in files:
            raise InputError(f"{folder}: tensor {name!r} is missing{did_you_mean(name, files)}")
    by_own_name = dict(files[name] for name in wanted)
    tensors = read_tensors(by_own_name, by_own_name)
    found = {name: tensors[files[name][0]] for name in wanted}
    sizes = _sizes(shape)
    for ours, theirs in names.items():
        rows, *rest = sizes[ours]
        for name in theirs:
            _check_shape(files[name][1], name, found[name], (rows // len(theirs), *rest))
        parameters[ours] = torch.cat([found[name].float() for name in theirs])
    return parameters


def _sizes(shape: BertShape) -> dict[str, tuple[int, ...]]:
    """Return parameter -> its size."""
    dropout = Dropout(0.0, torch.Generator())
    with torch.device("meta"):
        encoder = MinBert(shape, dropout, dropout)
    return {name: tuple(parameter.shape) for name, parameter in encoder.named_parameters()}


def _fresh_pooler(width: int) -> Parameters:
    weight = torch.randn(width, width, generator=torch.Generator().manual_seed(0)) * _SCALE
    return {"pooler.dense.weight": weight, "pooler.dense.bias": torch.zeros(width)}


def shared_weights(folder: Path, shape: BertShape) -> Parameters:
    """As `read_weights`, but the processes of a node hold the parameters once; see `mapped`.

    They are a copy of the encoder's files in our layout, not views of them: who writes to these
    files while runs are under way must not change what they start from.

    Raises:
        InputError: As `read_weights`; the cache cannot be written to.
    """
    files = weight_files(folder)
    identity = {
        # Of 440 MB: 0.3 s for each process on the development machine.
        "digests": [file_digest(path) for path in files],
        "shape": asdict(shape),
        "code": code_digest(
            *(Path(p) for p in (__file__, shards.__file__, architectures.__file__, bert.__file__))
        ),
    }
    return mapped("encoder", identity, lambda: read_weights(folder, shape))


def _modern_name(name: str) -> str:
    return (
        _PREFIX.sub("", name)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
    )


def _check_shape(path: Path, name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise InputError(
            f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}, but config.json says "
            f"{expected}; config and weights are of different models"
        )


def to_hugging_face(parameters: Parameters, shape: BertShape) -> Parameters:
    """Return the encoder's parameters under the names of its class in transformers.

    DistilBERT's class has no pooler; ours is left out there.
    """
    result: Parameters = {}
    for ours, theirs in tensor_names(shape).items():
        for name, part in zip(theirs, parameters[ours].chunk(len(theirs)), strict=True):
            result[name] = part.detach().float().cpu().contiguous()
    return result
