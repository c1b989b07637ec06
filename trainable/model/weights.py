"""Read and write BERT weights in the Hugging Face layout, with our own reader.

Accepts checkpoints of `BertModel` and of models with a head (prefix `bert.`), with the LayerNorm
names of 2018 (`gamma`, `beta`) and of today (`weight`, `bias`).
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from trainable.cache.files import file_digest, read_json
from trainable.cache.mapped import code_digest, mapped
from trainable.errors import InputError, did_you_mean
from trainable.model import shards
from trainable.model.bert import BertShape
from trainable.model.shards import read_tensors, tensor_files, weight_files

Parameters = dict[str, Tensor]

# Our name of a layer's module -> its name below `encoder.layer.N.`
_LAYER_NAMES = {
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_in": "intermediate.dense",
    "feed_out": "output.dense",
    "feed_norm": "output.LayerNorm",
}
_QKV = ("query", "key", "value")
_SCALE = 0.02  # BERT's initialisation


# Field of config.json -> the one value that `MinBert` computes, which is also the default.
_FIXED_FIELDS = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
}


def read_shape(folder: Path) -> BertShape:
    """Read the sizes from `config.json` of a Hugging Face BERT folder.

    Fields that change nothing about the hidden states are not read: `chunk_size_feed_forward`,
    `use_cache`, `initializer_range`, dropouts, `pad_token_id` and those of heads and generation.

    Raises:
        InputError: No or broken config.json; another architecture; a field is missing, or has a
            value that changes what BERT computes.
    """
    path = folder / "config.json"
    config = read_json(path, "give a Hugging Face BERT folder")
    if not isinstance(config, dict):
        raise InputError(f"{path}: a config is a JSON object, not {type(config).__name__}")
    for key, value in {"model_type": "bert", **_FIXED_FIELDS}.items():
        found = config.get(key, None if key == "model_type" else value)
        if found != value:
            raise InputError(
                f"encoder {str(folder)!r}: {key} is {found!r}, only {value!r} can be run; choose a "
                f"checkpoint of the BERT architecture"
            )
    fields = BertShape.__dataclass_fields__
    missing = [name for name in fields if name not in config and name != "layer_norm_eps"]
    if missing:
        raise InputError(f"{path}: field {missing[0]!r} is missing")
    sizes = {name: config[name] for name in fields if name in config}
    for name, value in sizes.items():
        wanted_type = float if name == "layer_norm_eps" else int
        is_number = isinstance(value, wanted_type) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise InputError(f"{path}: field {name!r} is {value!r}, not a positive number")
    if sizes["type_vocab_size"] < 2:
        raise InputError(
            f"{path}: type_vocab_size is {sizes['type_vocab_size']}; the two sentences of a pair "
            f"need 2 segments, choose a checkpoint that has them"
        )
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise InputError(
            f"{path}: hidden_size {sizes['hidden_size']} is not a multiple of num_attention_heads "
            f"{sizes['num_attention_heads']}"
        )
    return BertShape(**sizes)


def _hugging_face_names(shape: BertShape) -> dict[str, tuple[str, ...]]:
    """Our parameter name -> the Hugging Face tensors that make it, concatenated along rows."""
    names: dict[str, tuple[str, ...]] = {}
    for ours, theirs in (("word", "word"), ("position", "position"), ("segment", "token_type")):
        names[f"embeddings.{ours}.weight"] = (f"embeddings.{theirs}_embeddings.weight",)
    for kind in ("weight", "bias"):
        names[f"embeddings.norm.{kind}"] = (f"embeddings.LayerNorm.{kind}",)
        names[f"pooler.dense.{kind}"] = (f"pooler.dense.{kind}",)
        for layer in range(shape.num_hidden_layers):
            prefix = f"encoder.layer.{layer}"
            names[f"layers.{layer}.attention.qkv.{kind}"] = tuple(
                f"{prefix}.attention.self.{part}.{kind}" for part in _QKV
            )
            for ours, theirs in _LAYER_NAMES.items():
                names[f"layers.{layer}.{ours}.{kind}"] = (f"{prefix}.{theirs}.{kind}",)
    return names


def _expected_size(name: str, shape: BertShape) -> tuple[int, ...]:
    """Size of one Hugging Face tensor."""
    width, inner = shape.hidden_size, shape.intermediate_size
    tables = {
        "word_embeddings": shape.vocab_size,
        "position_embeddings": shape.max_position_embeddings,
        "token_type_embeddings": shape.type_vocab_size,
    }
    for table, rows in tables.items():
        if table in name:
            return (rows, width)
    is_matrix = name.endswith(".weight") and "LayerNorm" not in name
    if ".intermediate.dense." in name:
        return (inner, width) if is_matrix else (inner,)
    if ".output.dense." in name and ".attention." not in name and is_matrix:
        return (width, inner)
    return (width, width) if is_matrix else (width,)


def has_pooler(folder: Path) -> bool:
    """Whether a checkpoint has a pooler; those of language models and sentence encoders may not.

    Raises:
        InputError: As `read_weights`, of the files.
    """
    return any(_modern_name(name).startswith("pooler.") for name in tensor_files(folder))


def read_weights(folder: Path, shape: BertShape) -> Parameters:
    """Read the tensors of a Hugging Face BERT folder as parameters of `MinBert`.

    A pooler that the checkpoint lacks starts afresh, as that of `BertModel` would: with weights
    from a normal distribution of 0.02, the same every time, and biases of zero.

    Returns:
        Name -> float32 tensor on the CPU.

    Raises:
        InputError: No whole safetensors files; a tensor is missing, of the wrong shape, or holds no
            plain floating point numbers.
    """
    names = _hugging_face_names(shape)
    parameters: Parameters = {}
    if not has_pooler(folder):
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
    for name, tensor in found.items():
        _check_shape(files[name][1], name, tensor, _expected_size(name, shape))
    for ours, theirs in names.items():
        parameters[ours] = torch.cat([found[name].float() for name in theirs])
    return parameters


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
        "code": code_digest(Path(__file__), Path(shards.__file__)),
    }
    return mapped("encoder", identity, lambda: read_weights(folder, shape))


def _modern_name(name: str) -> str:
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _check_shape(path: Path, name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise InputError(
            f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}, but config.json says "
            f"{expected}; config and weights are of different models"
        )


def to_hugging_face(parameters: Parameters, shape: BertShape) -> Parameters:
    """Return the encoder's parameters under the names of transformers' `BertModel`."""
    result: Parameters = {}
    for ours, theirs in _hugging_face_names(shape).items():
        for name, part in zip(theirs, parameters[ours].chunk(len(theirs)), strict=True):
            result[name] = part.detach().float().cpu().contiguous()
    return result
