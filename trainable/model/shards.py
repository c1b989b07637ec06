"""The safetensors files of a Hugging Face folder: one file, or shards that an index names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainable.cache.files import read_json
from trainable.errors import InputError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold the tensors; a whole file goes before an index.

    Raises:
        InputError: There is neither; the index is broken, or names a file that is not there.
    """
    if (folder / WHOLE).is_file():
        return (folder / WHOLE,)
    if (folder / INDEX).is_file():
        return tuple(folder / name for name in _shard_names(folder / INDEX))
    others = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".ckpt"})
    hint = f" ({others[0]} is a pickle, which is never read)" if others else ""
    raise InputError(
        f"encoder {str(folder)!r}: no {WHOLE}{hint}; save the model with "
        f"save_pretrained(..., safe_serialization=True)"
    )


def _shard_names(index: Path) -> list[str]:
    content = read_json(index, "give a Hugging Face BERT folder")
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise InputError(f"{index}: no 'weight_map' from tensors to files; save the model again")
    for name in places.values():
        # The name is data: it must not lead out of the folder.
        is_plain = isinstance(name, str) and Path(name).name == name and "\\" not in name
        if not is_plain or not name.endswith(".safetensors"):
            raise InputError(f"{index}: {name!r} is no name of a file in the same folder")
        if not (index.parent / name).is_file():
            raise InputError(f"{index}: {name!r} is not in the folder; download all of the model")
    return sorted(set(places.values()))


def tensor_files(folder: Path) -> dict[str, Path]:
    """Return the name of each tensor -> the file that holds it.

    Raises:
        InputError: As `weight_files`; a file is not whole.
    """
    files: dict[str, Path] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                files |= dict.fromkeys(file.keys(), path)
        except SafetensorError as error:
            raise _not_whole(path, error) from error
    return files


def read_tensors(files: dict[str, Path], names: Iterable[str]) -> dict[str, Tensor]:
    """Read some tensors of a folder.

    Args:
        files: What `tensor_files` returned.
        names: Keys of it.

    Raises:
        InputError: A file is not whole; a tensor holds no plain floating point numbers.
    """
    tensors: dict[str, Tensor] = {}
    by_file: dict[Path, list[str]] = {}
    for name in names:
        by_file.setdefault(files[name], []).append(name)
    for path, own in by_file.items():
        try:
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in own}
        except SafetensorError as error:
            raise _not_whole(path, error) from error
    for name, tensor in tensors.items():
        # Integers and 8-bit floats are of quantised models; their scales are in other tensors.
        if not tensor.is_floating_point() or tensor.element_size() < 2:
            raise InputError(
                f"{files[name]}: tensor {name!r} is of type {tensor.dtype}; a quantised model "
                f"cannot be trained, choose one of float32, float16 or bfloat16"
            )
    return tensors


def _not_whole(path: Path, error: SafetensorError) -> InputError:
    return InputError(f"{path}: not a whole safetensors file ({error})")
