"""Read and write BERT weights in the Hugging Face layout, with our own reader.

Accepts checkpoints of `BertModel` and of models with a head (prefix `bert.`), with the LayerNorm
names of 2018 (`gamma`, `beta`) and of today (`weight`, `bias`).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from trainable.cache.files import file_digest, read_json
from trainable.cache.mapped import code_digest, mapped
from trainable.errors import InputError, did_you_mean
from trainable.model.bert import BertShape

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


def read_shape(folder: Path) -> BertShape:
    """Read the sizes from `config.json` of a Hugging Face BERT folder.

    Raises:
        InputError: No or broken config.json, another architecture, a field missing.
    """
    path = folder / "config.json"
    config = read_json(path, "give a Hugging Face BERT folder")
    if not isinstance(config, dict):
        raise InputError(f"{path}: a config is a JSON object, not {type(config).__name__}")
    wanted = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
    }
    for key, value in wanted.items():
        found = config.get(key, value if key != "model_type" else None)
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
        if not isinstance(value, wanted_type) or isinstance(value, bool) or value <= 0:
            raise InputError(f"{path}: field {name!r} is {value!r}, not a positive number")
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


def read_weights(folder: Path, shape: BertShape) -> Parameters:
    """Read `model.safetensors` of a Hugging Face BERT folder as parameters of `MinBert`.

    Returns:
        Name -> float32 tensor on the CPU.

    Raises:
        InputError: No safetensors file, a tensor missing, a tensor of the wrong shape.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        others = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".ckpt"})
        hint = f" ({others[0]} is a pickle, which is never read)" if others else ""
        raise InputError(
            f"encoder {str(folder)!r}: no model.safetensors{hint}; save the model with "
            f"save_pretrained(..., safe_serialization=True)"
        )
    try:
        raw = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from error
    found = {_modern_name(name): tensor for name, tensor in raw.items()}
    parameters: Parameters = {}
    for ours, theirs in _hugging_face_names(shape).items():
        for name in theirs:
            _check_tensor(path, name, found, _expected_size(name, shape))
        parameters[ours] = torch.cat([found[name].float() for name in theirs])
    return parameters


def shared_weights(folder: Path, shape: BertShape) -> Parameters:
    """As `read_weights`, but the processes of a node hold the parameters once; see `mapped`.

    They are a copy of the encoder's file in our layout, not views of it: who writes to that file
    while runs are under way must not change what they start from.

    Raises:
        InputError: As `read_weights`; the cache cannot be written to.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return read_weights(folder, shape)  # which says what is wrong
    identity = {
        "digest": file_digest(path),  # of 440 MB: 0.3 s for each process on the development machine
        "shape": asdict(shape),
        "code": code_digest(Path(__file__)),
    }
    return mapped("encoder", identity, lambda: read_weights(folder, shape))


def _modern_name(name: str) -> str:
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _check_tensor(
    path: Path, name: str, found: dict[str, Tensor], expected: tuple[int, ...]
) -> None:
    if name not in found:
        raise InputError(f"{path}: tensor {name!r} is missing{did_you_mean(name, found)}")
    if tuple(found[name].shape) != expected:
        raise InputError(
            f"{path}: tensor {name!r} has shape {tuple(found[name].shape)}, but config.json says "
            f"{expected}; config and weights are of different models"
        )


def to_hugging_face(parameters: Parameters, shape: BertShape) -> Parameters:
    """Return the encoder's parameters under the names of transformers' `BertModel`."""
    result: Parameters = {}
    for ours, theirs in _hugging_face_names(shape).items():
        for name, part in zip(theirs, parameters[ours].chunk(len(theirs)), strict=True):
            result[name] = part.detach().float().cpu().contiguous()
    return result
