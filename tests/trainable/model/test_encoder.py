from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedModel,
)

import trainable.model.encoder
from tests.trainable.data.checkpoints import (
    LAYOUTS,
    SETTINGS,
    VOCABULARY,
    ids,
    ids_of_transformers,
    write_tokenizer,
)
from tests.trainable.data.relatives import LAYOUTS as RELATIVES
from tests.trainable.data.relatives import TEXTS as RELATIVE_TEXTS
from tests.trainable.data.relatives import write_relative_encoder
from trainable.errors import InputError
from trainable.model.encoder import (
    LONGEST_SEQUENCE,
    TINY,
    EncoderConfig,
    find_folder,
    load_pretrained,
    pinned,
)

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


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the files of `someone/bert` on a Hub that gives only what it is asked for."""
    repository, cache = tmp_path / "repository", tmp_path / "snapshots" / COMMIT
    repository.mkdir()

    def download(source: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert source == "someone/bert"
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        names = (path.name for path in repository.iterdir())
        for name in filter_repo_objects(names, allow_patterns=allow_patterns):
            shutil.copy(repository / name, cache)
        return str(cache)

    monkeypatch.setattr(trainable.model.encoder, "snapshot_download", download)
    return repository


def write_model(folder: Path, kind: type[PreTrainedModel] = BertModel, **saving: Any) -> None:
    """Write the smallest encoder that a run can start from."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=LONGEST_SEQUENCE,
    )
    kind(config).save_pretrained(folder, **saving)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_hub_id_cuts_text_as_transformers_does(
    hub: Path, layout: str, settings: dict[str, Any]
) -> None:
    write_model(hub)
    write_tokenizer(hub, layout, settings)
    pretrained = load_pretrained(EncoderConfig(source="someone/bert"), ())
    assert ids(pretrained.tokenizer) == ids_of_transformers(hub)
    folder = load_pretrained(EncoderConfig(source=str(hub)), ())
    assert ids(folder.tokenizer) == ids_of_transformers(hub)


def test_a_hub_id_in_shards_is_downloaded_whole(hub: Path) -> None:
    write_model(hub, max_shard_size="3KB")
    write_tokenizer(hub, "vocab.txt", {})
    assert len(list(hub.glob("model-*.safetensors"))) >= 2
    (hub / "pytorch_model.bin").write_bytes(b"a pickle")
    pretrained = load_pretrained(EncoderConfig(source="someone/bert"), ())
    whole = load_pretrained(EncoderConfig(source=str(hub)), ())
    for name, tensor in whole.parameters.items():
        assert torch.equal(pretrained.parameters[name], tensor), name
    assert not (find_folder("someone/bert", None) / "pytorch_model.bin").exists()


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertModel])
def test_an_encoder_without_a_pooler_is_served_with_a_note(
    hub: Path, kind: type[PreTrainedModel]
) -> None:
    write_model(hub, kind)
    write_tokenizer(hub, "both", {})
    pretrained = load_pretrained(EncoderConfig(source="someone/bert"), ())
    notes = [note for note in pretrained.notes if "'someone/bert' has no pretrained pooler" in note]
    assert len(notes) == (kind is BertForMaskedLM)
    assert pretrained.parameters["pooler.dense.weight"].any()


def test_too_few_positions_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_tokenizer(tmp_path, "both", {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["max_position_embeddings"] = LONGEST_SEQUENCE - 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"has {LONGEST_SEQUENCE - 1} positions, a pair of"):
        load_pretrained(EncoderConfig(source=str(tmp_path)), ())


def test_a_blank_line_behind_the_vocabulary_is_no_reason_to_refuse(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_tokenizer(tmp_path, "vocab.txt", {})
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("\n")
    pretrained = load_pretrained(EncoderConfig(source=str(tmp_path)), ())
    assert pretrained.tokenizer.get_vocab_size() == pretrained.shape.vocab_size


# RoBERTa, XLM-R and DistilBERT


@pytest.mark.parametrize("layout", RELATIVES)
def test_a_relative_of_bert_is_downloaded_whole(hub: Path, layout: str) -> None:
    write_relative_encoder(hub, layout)
    pretrained = load_pretrained(EncoderConfig(source="someone/bert"), ())
    assert pretrained.shape.model_type == RELATIVES[layout]
    theirs = AutoTokenizer.from_pretrained(hub)
    expected = [theirs(text, add_special_tokens=False).input_ids for text in RELATIVE_TEXTS]
    assert ids(pretrained.tokenizer, RELATIVE_TEXTS) == expected
    notes = [note for note in pretrained.notes if "has no pretrained pooler" in note]
    assert len(notes) == (RELATIVES[layout] == "distilbert")


@pytest.mark.parametrize(
    ("layout", "too_few"),
    [("roberta, tokenizer.json", 257), ("xlm-roberta", 257), ("distilbert", 254)],
)
def test_positions_are_counted_behind_that_of_padding(
    tmp_path: Path, layout: str, too_few: int
) -> None:
    """A pair has one more separator in RoBERTa, and positions begin at 2."""
    write_relative_encoder(tmp_path, layout, max_position_embeddings=too_few + 1)
    load_pretrained(EncoderConfig(source=str(tmp_path)), ())
    write_relative_encoder(tmp_path, layout, max_position_embeddings=too_few)
    n_positions = too_few - (0 if layout == "distilbert" else 2)
    expected = f"has {n_positions} positions, a pair of sentences may need {n_positions + 1};"
    with pytest.raises(InputError, match=expected):
        load_pretrained(EncoderConfig(source=str(tmp_path)), ())


def test_padding_of_config_and_tokenizer_must_agree(tmp_path: Path) -> None:
    """The tokens of a text that are called padding would have no position of their own."""
    write_relative_encoder(tmp_path, "roberta, WordPiece", pad_token_id=1)
    with pytest.raises(InputError, match="pad_token_id is 1, but the tokenizer pads with 0, and"):
        load_pretrained(EncoderConfig(source=str(tmp_path)), ())
