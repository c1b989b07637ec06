from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from tests.trainable.model.test_bert import pack
from trainable.errors import InputError
from trainable.model.architectures import ARCHITECTURES
from trainable.model.bert import BertShape, MinBert
from trainable.model.dropout import Dropout
from trainable.model.weights import (
    has_pooler,
    read_shape,
    read_weights,
    to_hugging_face,
)

_CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=32,
)


@pytest.fixture
def model() -> BertModel:
    torch.manual_seed(0)
    return BertModel(_CONFIG)


@pytest.fixture
def folder(model: BertModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path)
    return tmp_path


def read(folder: Path) -> dict[str, Tensor]:
    return read_weights(folder, read_shape(folder))


def rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_shape_is_read_from_config(folder: Path) -> None:
    assert read_shape(folder) == BertShape(50, 16, 2, 2, 24, 32, 2, 1e-12)


def test_weights_have_the_names_and_shapes_of_minbert(folder: Path) -> None:
    dropout = Dropout(0.0, torch.Generator())
    expected = MinBert(read_shape(folder), dropout, dropout).state_dict()
    found = read(folder)
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in expected.items()}


def test_weights_below_a_head_are_found_under_their_prefix(
    folder: Path, model: BertModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with_head = BertForSequenceClassification(_CONFIG)
    with_head.bert.load_state_dict(model.state_dict())
    other = tmp_path_factory.mktemp("with-head")
    with_head.save_pretrained(other)
    assert all(
        n.startswith(("bert.", "classifier.")) for n in load_file(other / "model.safetensors")
    )
    assert_same(read(other), read(folder))


def test_layer_norm_names_of_2018_are_understood(folder: Path) -> None:
    expected = read(folder)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    assert any("gamma" in name for name in old)
    rewrite(folder, old)
    assert_same(read(folder), expected)


def test_half_precision_weights_become_float32(folder: Path) -> None:
    rewrite(folder, {n: t.half() for n, t in load_file(folder / "model.safetensors").items()})
    assert {tensor.dtype for tensor in read(folder).values()} == {torch.float32}


def test_missing_tensor_is_named_with_the_nearest(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dence.weight"] = tensors.pop("pooler.dense.weight")
    rewrite(folder, tensors)
    with pytest.raises(InputError, match=r"'pooler\.dense\.weight' is missing; did you mean 'pool"):
        read(folder)


def test_wrong_shape_is_named_with_both_shapes(folder: Path) -> None:
    change_config(folder, intermediate_size=20)
    with pytest.raises(InputError, match=r"intermediate\.dense.*\(24, 16\).*\(20, 16\)"):
        read(folder)


def test_pickled_weights_are_refused_and_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle.*safe_serialization"):
        read(folder)


def test_torn_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "albert"),
        ("model_type", "electra"),
        ("model_type", "deberta-v2"),
        ("model_type", "camembert"),
        ("model_type", ["bert"]),
        ("hidden_act", "relu"),
        ("hidden_act", "gelu_new"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("quantization_config", {"quant_method": "gptq"}),
    ],
)
def test_other_architecture_is_refused(folder: Path, key: str, value: Any) -> None:
    change_config(folder, **{key: value})
    with pytest.raises(InputError, match=re.escape(f"{key} is {value!r}, only ")):
        read(folder)


@pytest.mark.parametrize("name", ARCHITECTURES["bert"].sizes)
@pytest.mark.parametrize("value", [0, -1, True, None, "2", float("nan"), float("inf")])
def test_sizes_that_are_no_positive_numbers_are_refused(
    folder: Path, name: str, value: Any
) -> None:
    change_config(folder, **{name: value})
    with pytest.raises(InputError, match=f"field '{name}' is {value!r}, not a positive number"):
        read_shape(folder)


def test_an_encoder_with_one_segment_is_refused(folder: Path) -> None:
    change_config(folder, type_vocab_size=1)
    with pytest.raises(InputError, match="type_vocab_size is 1; the two sentences of a pair"):
        read_shape(folder)


def test_heads_that_do_not_divide_the_width_are_refused(folder: Path) -> None:
    change_config(folder, num_attention_heads=3)
    with pytest.raises(InputError, match="hidden_size 16 is not a multiple of num_attention_heads"):
        read_shape(folder)


# What may stand in a config.json of transformers beside what is read, and other sizes.
SERVED: list[dict[str, Any]] = [
    {"layer_norm_eps": 0.5},
    {"num_attention_heads": 8},
    {"num_hidden_layers": 1},
    {"type_vocab_size": 3},
    {"max_position_embeddings": 40},
    {"intermediate_size": 8},
    {"vocab_size": 61},
    {"chunk_size_feed_forward": 1},
    {"pad_token_id": 7},
    {"pad_token_id": None},
    {"tie_word_embeddings": False},
    {"hidden_dropout_prob": 0.5},
    {"attention_probs_dropout_prob": 0.5},
    {"classifier_dropout": 0.5},
    {"initializer_range": 0.5},
    {"use_cache": False},
    {"bos_token_id": 1, "eos_token_id": 2},
    {"dtype": "float32"},
]


@pytest.mark.parametrize("values", SERVED, ids=str)
def test_hidden_states_are_those_of_transformers_whatever_the_config_says(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    BertModel(
        BertConfig(**(_CONFIG.to_dict() | {"initializer_range": 0.5} | values))
    ).save_pretrained(tmp_path)
    reference = BertModel.from_pretrained(tmp_path)
    assert isinstance(reference, BertModel)
    reference.train(False)
    shape = read_shape(tmp_path)
    dropout = Dropout(0.0, torch.Generator())
    model = MinBert(shape, dropout, dropout)
    model.load_state_dict(read_weights(tmp_path, shape))
    tokens, segments = torch.arange(6, 22), torch.arange(16) // 8
    with torch.inference_mode():
        hidden = model.eval()(pack([(tokens.tolist(), segments.tolist())]))
        expected = reference(input_ids=tokens[None], token_type_ids=segments[None])
        pooled = model.pooler(hidden[:1])
    torch.testing.assert_close(hidden, expected.last_hidden_state[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled, expected.pooler_output, atol=1e-5, rtol=1e-4)


def test_every_field_of_a_bert_config_is_accounted_for() -> None:
    """A field that a new version of transformers adds must be thought about."""
    served = {key for values in SERVED for key in values}
    refused = {"hidden_act", "is_decoder", "add_cross_attention", "hidden_size"}
    fields = set(BertConfig.__annotations__)
    assert fields - served - refused == set()


# Without a pooler


@pytest.mark.parametrize("model_type", [BertForMaskedLM, BertForTokenClassification])
def test_a_checkpoint_without_a_pooler_gets_the_same_fresh_one_every_time(
    tmp_path: Path, model_type: type[BertForMaskedLM]
) -> None:
    torch.manual_seed(0)
    checkpoint = model_type(_CONFIG)
    checkpoint.save_pretrained(tmp_path)
    assert not has_pooler(tmp_path)
    found = read(tmp_path)
    weight = found["pooler.dense.weight"]
    assert weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not found["pooler.dense.bias"].any()
    assert torch.equal(read(tmp_path)["pooler.dense.weight"], weight)
    expected = dict(BertModel(_CONFIG, add_pooling_layer=False).state_dict())
    written = to_hugging_face(found, read_shape(tmp_path))
    for name in expected:
        assert torch.equal(written[name], checkpoint.bert.state_dict()[name]), name


def test_a_checkpoint_with_a_pooler_is_known(folder: Path) -> None:
    assert has_pooler(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_tensors_are_refused(folder: Path, dtype: torch.dtype) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.weight"] = tensors["pooler.dense.weight"].to(dtype)
    rewrite(folder, tensors)
    with pytest.raises(InputError, match=r"'pooler\.dense\.weight' is of type .*quantised"):
        read(folder)


def test_config_without_model_type_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="model_type is None"):
        read_shape(folder)


def test_config_must_be_there_whole_and_complete(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["num_attention_heads"]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="'num_attention_heads' is missing"):
        read_shape(folder)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_shape(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"config\.json: no such file; give a Hugging Face"):
        read_shape(folder)


def test_written_weights_are_those_that_were_read(folder: Path, model: BertModel) -> None:
    written = to_hugging_face(read(folder), read_shape(folder))
    expected = {n: t for n, t in model.state_dict().items() if "position_ids" not in n}
    assert_same(written, expected)


def test_transformers_loads_what_is_written(
    folder: Path, model: BertModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("written")
    (other / "config.json").write_text((folder / "config.json").read_text())
    rewrite(other, to_hugging_face(read(folder), read_shape(folder)))
    result: Any = BertModel.from_pretrained(other, output_loading_info=True)
    loaded, info = result
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert_same(dict(loaded.state_dict()), dict(model.state_dict()))
