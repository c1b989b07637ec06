from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from trainable.errors import InputError
from trainable.model.encoder import TINY, EncoderConfig, find_folder, load_pretrained, pinned

SENTENCES = ("the film was good", "the film was not good", "is this a good question ?")


def test_tiny_is_the_same_every_time_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = load_pretrained(EncoderConfig(source=TINY), SENTENCES)
    torch.manual_seed(2)
    second = load_pretrained(EncoderConfig(source=TINY), SENTENCES)
    assert first.shape == second.shape
    assert first.tokenizer.to_str() == second.tokenizer.to_str()
    for name, tensor in first.parameters.items():
        assert torch.equal(tensor, second.parameters[name]), name


def test_tiny_starts_as_bert_does() -> None:
    pretrained = load_pretrained(EncoderConfig(source=TINY), SENTENCES)
    assert pretrained.shape.vocab_size == pretrained.tokenizer.get_vocab_size()
    for name, tensor in pretrained.parameters.items():
        if "norm" in name:
            assert torch.equal(tensor, torch.full_like(tensor, float("weight" in name))), name
        elif name.endswith("bias"):
            assert not tensor.any(), name
        else:
            assert tensor.std() == pytest.approx(0.6 / 8, rel=0.15), name


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "bert-base-uncased", "a/b/c"])
def test_what_is_neither_folder_nor_hub_id_is_refused(source: str) -> None:
    with pytest.raises(InputError, match=f"unknown encoder '{source}'.*'tiny', a folder"):
        find_folder(source, None)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_folder(str(tmp_path), None) == tmp_path


def test_a_real_checkpoint_is_loaded(minilm: Path) -> None:
    pretrained = load_pretrained(EncoderConfig(source=str(minilm)), ())
    assert pretrained.shape.hidden_size == 384
    assert pretrained.tokenizer.encode("hello world").ids == [101, 7592, 2088, 102]
    assert {tensor.dtype for tensor in pretrained.parameters.values()} == {torch.float32}


def test_tokenizer_of_another_model_is_refused(minilm: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(minilm / name, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(InputError, match=r"has 30522 tokens, the embeddings 100"):
        load_pretrained(EncoderConfig(source=str(tmp_path)), ())


def test_a_folder_is_pinned_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bert").mkdir()
    monkeypatch.chdir(tmp_path)
    assert pinned(EncoderConfig(source="bert")).source == str(tmp_path / "bert")
    assert pinned(EncoderConfig()) == EncoderConfig()


def test_a_hub_id_is_pinned_to_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A Hub cache as huggingface_hub lays it out; offline, nothing is asked of the network.
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--bert"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert pinned(EncoderConfig(source="someone/bert")).revision == commit
