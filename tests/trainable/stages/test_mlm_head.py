"""The head against transformers', and its weights out of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertForMaskedLM,
    RobertaForMaskedLM,
    XLMRobertaForMaskedLM,
)

from tests.trainable.model.test_architectures import config_of
from trainable.data.sentences import Sentences
from trainable.errors import InputError
from trainable.model.architectures import ARCHITECTURES
from trainable.model.encoder import Pretrained, build_encoder
from trainable.model.weights import read_shape, read_weights
from trainable.stages.batches import pack
from trainable.stages.mlm_head import MlmHead, read_mlm_head
from trainable.stages.pretraining_loop import StageInputs

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random `BertForMaskedLM`, saved as transformers saves it."""
    folder = tmp_path_factory.mktemp("mlm")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
        initializer_range=0.2,
    )
    model = BertForMaskedLM(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases start at zero and would hide that they are not read
            parameter.data.normal_()
    model.save_pretrained(folder)
    return folder


def test_scores_are_those_of_transformers(checkpoint: Path, inputs: StageInputs) -> None:
    shape = read_shape(checkpoint)
    weights = read_weights(checkpoint, shape)
    pretrained = Pretrained(shape, inputs.pretrained.tokenizer, weights)
    encoder = build_encoder(pretrained, 0.1, CPU, torch.Generator()).eval()
    head = MlmHead(shape, torch.Generator())
    weights_of_head = read_mlm_head(checkpoint, shape)
    assert weights_of_head is not None
    head.load_state_dict(weights_of_head)
    ids = torch.randint(60, (3, 9), generator=torch.Generator().manual_seed(1))
    model = BertForMaskedLM.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        expected = model(ids).logits.flatten(0, 1)
        batch = Sentences(ids.flatten().int(), torch.tensor([0, 9, 18, 27]))
        scores = head(encoder(pack(batch, CPU)), encoder.embeddings.word.weight)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_names_of_2018_are_read_too(checkpoint: Path, tmp_path: Path) -> None:
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in load_file(checkpoint / "model.safetensors").items()
    }
    save_file(renamed, tmp_path / "model.safetensors")
    shape = read_shape(checkpoint)
    old, new = (read_mlm_head(folder, shape) for folder in (tmp_path, checkpoint))
    assert old is not None
    assert new is not None
    assert old.keys() == new.keys() == MlmHead(shape, torch.Generator()).state_dict().keys()
    assert all(torch.equal(old[name], new[name]) for name in old)


RELATIVES: list[Any] = [RobertaForMaskedLM, XLMRobertaForMaskedLM, DistilBertForMaskedLM]


@pytest.mark.parametrize("kind", RELATIVES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("decoder", ["left out", "stored", "its own"])
def test_the_heads_of_other_encoders_are_read(
    tmp_path: Path, inputs: StageInputs, kind: Any, decoder: str
) -> None:
    model_type = kind.config_class.model_type
    torch.manual_seed(0)
    model = kind(config_of(model_type)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data.normal_()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    words = tensors[f"{model.base_model_prefix}.embeddings.word_embeddings.weight"]
    if decoder != "left out":
        stored = words + 1 if decoder == "its own" else words.clone()
        tensors[ARCHITECTURES[model_type].mlm_decoder] = stored
        save_file(tensors, tmp_path / "model.safetensors")
    shape = read_shape(tmp_path)
    head = read_mlm_head(tmp_path, shape)
    assert (head is None) == (decoder == "its own")
    if head is None:
        return
    weights = read_weights(tmp_path, shape)
    pretrained = Pretrained(shape, inputs.pretrained.tokenizer, weights)
    encoder = build_encoder(pretrained, 0.1, CPU, torch.Generator()).eval()
    own = MlmHead(shape, torch.Generator())
    own.load_state_dict(head)
    ids = torch.randint(2, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        batch = Sentences(ids.flatten().int(), torch.tensor([0, 9, 18, 27]))
        scores = own(encoder(pack(batch, CPU)), encoder.embeddings.word.weight)
        expected = model(ids).logits.flatten(0, 1)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_a_sentence_encoder_has_no_head(minilm: Path) -> None:
    assert read_mlm_head(minilm, read_shape(minilm)) is None


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_of_its_own_is_not_read_as_the_word_embeddings(
    checkpoint: Path, tmp_path: Path, tied: bool
) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    words = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.weight"] = words.clone() if tied else words + 1
    save_file(tensors, tmp_path / "model.safetensors")
    assert (read_mlm_head(tmp_path, read_shape(checkpoint)) is not None) == tied


def test_a_head_of_another_size_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["cls.predictions.bias"] = torch.zeros(61)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"bias has shape \(61,\), but config.json says \(60,\)"):
        read_mlm_head(tmp_path, read_shape(checkpoint))


def test_a_torn_file_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    whole = (checkpoint / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read_mlm_head(tmp_path, read_shape(checkpoint))
