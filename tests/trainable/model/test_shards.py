"""Checkpoints in several files, and what an index of them may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertModel

from trainable.errors import InputError
from trainable.model.weights import read_shape, read_weights, shared_weights


@pytest.fixture(scope="module")
def model() -> BertModel:
    torch.manual_seed(0)
    return BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=32,
        )
    )


@pytest.fixture
def folder(model: BertModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path)
    return tmp_path


def read(folder: Path) -> dict[str, Tensor]:
    return read_weights(folder, read_shape(folder))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.fixture
def sharded(model: BertModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sharded")
    model.save_pretrained(path, max_shard_size="5KB")
    assert len(list(path.glob("model-*-of-*.safetensors"))) >= 3
    assert not (path / "model.safetensors").exists()
    return path


def test_shards_are_read_as_one_file(sharded: Path, folder: Path) -> None:
    assert_same(read(sharded), read(folder))
    shape = read_shape(sharded)
    assert_same(shared_weights(sharded, shape), read(folder))


def test_a_whole_file_goes_before_shards(sharded: Path, folder: Path) -> None:
    zeros = {n: torch.zeros_like(t) for n, t in load_file(folder / "model.safetensors").items()}
    save_file(zeros, sharded / "model.safetensors", {"format": "pt"})
    assert not any(tensor.any() for tensor in read(sharded).values())


def index_of(folder: Path) -> tuple[Path, dict[str, Any]]:
    path = folder / "model.safetensors.index.json"
    return path, json.loads(path.read_text())


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/tmp/model.safetensors", "a/b", "..", "", ".", "a\\b", 3]
)
def test_a_shard_outside_of_the_folder_is_refused(sharded: Path, folder: Path, name: Any) -> None:
    (sharded.parent / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    path, index = index_of(sharded)
    index["weight_map"]["pooler.dense.weight"] = name
    path.write_text(json.dumps(index))
    with pytest.raises(InputError, match="is no name of a file in the same folder"):
        read(sharded)


def test_a_missing_shard_is_named(sharded: Path) -> None:
    _, index = index_of(sharded)
    shard = index["weight_map"]["pooler.dense.weight"]
    (sharded / shard).unlink()
    with pytest.raises(InputError, match=f"'{shard}' is not in the folder; download all"):
        read(sharded)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": 3}'])
def test_a_broken_index_is_refused(sharded: Path, content: str) -> None:
    index_of(sharded)[0].write_text(content)
    with pytest.raises(InputError, match=r"index\.json: (not valid JSON|no 'weight_map')"):
        read(sharded)


def test_a_torn_shard_is_refused(sharded: Path) -> None:
    path = next(iter(sharded.glob("model-*-of-*.safetensors")))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read(sharded)


def test_a_changed_shard_is_read_again(sharded: Path) -> None:
    shape = read_shape(sharded)
    shared_weights(sharded, shape)
    _, index = index_of(sharded)
    path = sharded / index["weight_map"]["pooler.dense.bias"]
    save_file({n: torch.full_like(t, 3) for n, t in load_file(path).items()}, path)
    assert (shared_weights(sharded, shape)["pooler.dense.bias"] == 3).all()
