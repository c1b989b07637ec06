from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, BertModel

from tests.course import TASK_NAMES
from tests.trainable.data.checkpoints import (
    LAYOUTS,
    SETTINGS,
    ids,
    ids_of_transformers,
    write_tokenizer,
)
from tests.trainable.data.relatives import LAYOUTS as RELATIVES
from tests.trainable.data.relatives import TEXTS as RELATIVE_TEXTS
from tests.trainable.data.relatives import write_relative_encoder
from tests.trainable.model.test_bert import pack
from trainable.batch_orders.all_tasks import LockStep
from trainable.data.features import InputFeatures
from trainable.data.tokenizer import load_tokenizer
from trainable.model.encoder import EncoderConfig, load_pretrained
from trainable.model.pairs import DensePairLayer
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import LinearNli
from trainable.training.hugging_face import write_encoder, write_heads
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run
from trainable.training.multitask_bert import build_model

WORD_PIECES = ("roberta, WordPiece", "distilbert", "distilbert, cased")
SENTENCES = ["a film", "the plot is not very good , but the cast is wonderful", "good"]


def trained(inputs: RunInputs, encoder: EncoderConfig) -> Run:
    """Return a run that has trained, so that its encoder is not the one that it began with."""
    stage = Multitask(batch_order=LockStep(batch_size=8), budget_tokens=1500, units=1)
    config = RunConfig(encoder=encoder, pair_layer=DensePairLayer(), multitask=stage)
    run = Run(config, inputs)
    run.train_unit()
    run.model.eval()
    return run


@pytest.fixture(scope="module")
def run(inputs: RunInputs) -> Run:
    return trained(inputs, EncoderConfig(dropout=0.2))


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder"
    write_encoder(run, path)
    return path


def test_transformers_gives_the_hidden_states_of_our_encoder(run: Run, folder: Path) -> None:
    loaded: Any = BertModel.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    model.eval()
    corpus = run.inputs.corpus
    batch = corpus.batch("select", {"sst": torch.arange(8)}, {"sst": None})
    with torch.inference_mode():
        ours = run.model.encoder_of("sst")(batch.packed)
        for row in range(8):
            first, last = batch.packed.cu_seqlens[row : row + 2].tolist()
            theirs = model(batch.packed.tokens[None, first:last]).last_hidden_state[0]
            torch.testing.assert_close(ours[first:last], theirs, atol=1e-5, rtol=1e-4)


def test_our_own_loader_gives_the_same_weights(run: Run, folder: Path) -> None:
    loaded = load_pretrained(EncoderConfig(source=str(folder)), ())
    assert loaded.shape == run.inputs.pretrained.shape
    now = run.model.encoder_of("sst").state_dict()
    assert loaded.parameters.keys() == now.keys()
    for name, tensor in loaded.parameters.items():
        assert torch.equal(tensor, now[name]), name
    began = run.inputs.pretrained.parameters
    assert not torch.equal(
        loaded.parameters["layers.0.feed_in.weight"], began["layers.0.feed_in.weight"]
    )


def test_the_tokenizer_is_that_of_the_run_in_both_libraries(run: Run, folder: Path) -> None:
    ours = run.inputs.pretrained.tokenizer
    again = load_pretrained(EncoderConfig(source=str(folder)), ()).tokenizer
    theirs = AutoTokenizer.from_pretrained(folder)
    cls, sep = ours.token_to_id("[CLS]"), ours.token_to_id("[SEP]")
    for sentence in SENTENCES:
        expected = ours.encode(sentence, add_special_tokens=False).ids
        assert again.encode(sentence, add_special_tokens=False).ids == expected
        assert theirs(sentence, add_special_tokens=False)["input_ids"] == expected
        assert theirs(sentence)["input_ids"] == [cls, *expected, sep]
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert {token: number for number, token in enumerate(lines)} == ours.get_vocab()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_exported_tokenizer_gives_the_ids_of_the_run(
    inputs: RunInputs, tmp_path: Path, layout: str, settings: dict[str, Any]
) -> None:
    source = write_tokenizer(tmp_path / "source", layout, settings)
    expected = ids_of_transformers(source)
    tokenizer = load_tokenizer(source)
    for number in range(2):  # the second time, the source is what was exported
        pretrained = replace(inputs.pretrained, tokenizer=tokenizer)
        run = Run(RunConfig(multitask=None), replace(inputs, pretrained=pretrained))
        folder = tmp_path / str(number)
        write_encoder(run, folder)
        tokenizer = load_tokenizer(folder)
        assert ids(tokenizer) == expected
        assert ids_of_transformers(folder) == expected
        # Programs that know only the vocabulary and the settings.
        (folder / "tokenizer.json").unlink()
        assert ids_of_transformers(folder) == expected


def test_an_exported_tokenizer_of_its_own_kind_is_written_as_it_is(
    inputs: RunInputs, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.from_str(inputs.pretrained.tokenizer.to_str())
    tokenizer.add_tokens(["Forrest Gump"])  # is never cut
    pretrained = replace(inputs.pretrained, tokenizer=tokenizer)
    write_encoder(Run(RunConfig(multitask=None), replace(inputs, pretrained=pretrained)), tmp_path)
    text = "a film , forrest gump , [SEP]"
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.token_to_id("Forrest Gump") in expected
    assert load_tokenizer(tmp_path).encode(text, add_special_tokens=False).ids == expected
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(text, add_special_tokens=False)["input_ids"] == expected


def test_config_says_what_ran(run: Run, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_dropout_prob"] == 0.2
    assert config["hidden_size"] == 64
    assert config["model_type"] == "bert"


@pytest.mark.slow
def test_a_run_can_start_from_what_another_wrote(folder: Path) -> None:
    encoder = EncoderConfig(source=str(folder))
    config = RunConfig(
        encoder=encoder, multitask=Multitask(budget_tokens=500, units=1, batch_order=LockStep())
    )
    inputs = open_inputs(config, torch.device("cpu"))
    assert Run(config, inputs).train_unit()["sst_loss"] > 0


def test_heads_are_written_whole_with_the_config(run: Run, tmp_path: Path) -> None:
    write_heads(run, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"heads.safetensors", "run_config.json"}
    text = (tmp_path / "run_config.json").read_text()
    config = RunConfig.from_dict(json.loads(text), "run_config.json")
    assert config == run.config
    fresh = build_model(config, run.inputs.pretrained, torch.device("cpu"), torch.Generator())
    rest = fresh.load_state_dict(load_file(tmp_path / "heads.safetensors"), strict=False)
    assert not rest.unexpected_keys
    assert all(name.startswith("encoders.") for name in rest.missing_keys)
    found = fresh.state_dict()
    outside = {n: t for n, t in run.model.state_dict().items() if not n.startswith("encoders.")}
    assert any(name.startswith("pair_layer.") for name in outside)
    for name, tensor in outside.items():
        assert torch.equal(found[name], tensor), name


def test_encoder_and_heads_together_predict_as_the_run(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    write_heads(run, tmp_path)
    other = Run(run.config, run.inputs)
    encoder = load_pretrained(EncoderConfig(source=str(folder)), ()).parameters
    other.model.load_encoder(encoder)
    other.model.load_state_dict(load_file(tmp_path / "heads.safetensors"), strict=False)
    for task, predicted in other.predict("select").items():
        assert torch.equal(predicted, run.predict("select")[task]), task


def test_an_encoder_for_each_task_is_written_for_each_task(
    inputs: RunInputs, tmp_path: Path
) -> None:
    run = trained(inputs, EncoderConfig(sharing="per_task"))
    write_encoder(run, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(TASK_NAMES)
    seen = []
    for task in TASK_NAMES:
        loaded = load_pretrained(EncoderConfig(source=str(tmp_path / task)), ())
        for name, tensor in run.model.encoder_of(task).state_dict().items():
            assert torch.equal(tensor, loaded.parameters[name]), name
        seen.append(loaded.parameters["layers.0.feed_in.weight"])
        report: Any = BertModel.from_pretrained(tmp_path / task, output_loading_info=True)[1]
        assert not report["missing_keys"]
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_table_of_tags_is_written_with_the_heads(inputs: RunInputs, tmp_path: Path) -> None:
    """No other program has one: the encoder's folder is BERT as everybody knows it."""
    config = RunConfig(features=InputFeatures(pos_tags=True), multitask=None)
    run = Run(config, inputs)
    table = run.model.encoder_of("sst").embeddings.tag
    assert table is not None
    table.weight.data.fill_(0.5)
    write_encoder(run, tmp_path / "encoder")
    report: Any = BertModel.from_pretrained(tmp_path / "encoder", output_loading_info=True)[1]
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    write_heads(run, tmp_path)
    other = Run(config, inputs)
    other.model.load_state_dict(load_file(tmp_path / "heads.safetensors"), strict=False)
    found = other.model.encoder_of("sst").embeddings.tag
    assert found is not None
    assert torch.equal(found.weight, table.weight)


# RoBERTa, XLM-R and DistilBERT


def random_run(inputs: RunInputs, source: Path) -> Run:
    """Return a run over an encoder, which has other weights than those that it began with."""
    pretrained = load_pretrained(EncoderConfig(source=str(source)), ())
    run = Run(RunConfig(multitask=None), replace(inputs, pretrained=pretrained))
    generator = torch.Generator().manual_seed(1)
    for parameter in run.model.parameters():
        parameter.data.normal_(0.0, 0.3, generator=generator)
    run.model.eval()
    return run


@pytest.mark.parametrize("layout", RELATIVES)
def test_a_relative_of_bert_is_written_as_what_it_is(
    inputs: RunInputs, tmp_path: Path, layout: str
) -> None:
    source = write_relative_encoder(tmp_path / "source", layout)
    run = random_run(inputs, source)
    folder = tmp_path / "written"
    write_encoder(run, folder)
    loaded: Any = AutoModel.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    assert model.config.model_type == RELATIVES[layout]
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    before, after = (AutoTokenizer.from_pretrained(path) for path in (source, folder))
    assert type(after) is type(before)
    assert after(RELATIVE_TEXTS).input_ids == before(RELATIVE_TEXTS).input_ids
    pairs = after(RELATIVE_TEXTS[::-1], RELATIVE_TEXTS)
    assert pairs.input_ids == before(RELATIVE_TEXTS[::-1], RELATIVE_TEXTS).input_ids
    assert "token_type_ids" not in pairs
    for role in ("cls", "sep", "mask", "pad", "unk"):
        assert getattr(after, f"{role}_token") == getattr(before, f"{role}_token")
    assert (folder / "vocab.txt").exists() == (layout in WORD_PIECES)

    model.eval()
    given = after(RELATIVE_TEXTS, padding=True, return_tensors="pt")
    sequences = sorted((own, [0] * len(own)) for own in after(RELATIVE_TEXTS).input_ids)
    sequences.sort(key=lambda sequence: len(sequence[0]))
    with torch.inference_mode():
        ours = run.model.encoders["shared"](pack(sequences))
        theirs = model(**given).last_hidden_state
    parts = ours.split([len(tokens) for tokens, _ in sequences])
    by_ids = {tuple(tokens): part for (tokens, _), part in zip(sequences, parts, strict=True)}
    for row, tokens in enumerate(after(RELATIVE_TEXTS).input_ids):
        if after.pad_token_id in tokens and "roberta" in RELATIVES[layout]:
            continue  # the text's own <pad>: see `BertShape.first_position`
        own = by_ids[tuple(tokens)]
        torch.testing.assert_close(own, theirs[row, : len(tokens)], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", RELATIVES)
def test_encoder_and_heads_of_a_relative_are_all_of_its_weights(
    inputs: RunInputs, tmp_path: Path, layout: str
) -> None:
    """The class of DistilBERT in transformers has no pooler; ours is with the heads."""
    run = random_run(inputs, write_relative_encoder(tmp_path / "source", layout))
    write_encoder(run, tmp_path / "encoder")
    write_heads(run, tmp_path)
    other = random_run(inputs, tmp_path / "encoder")
    again = load_pretrained(EncoderConfig(source=str(tmp_path / "encoder")), ())
    assert again.shape == run.inputs.pretrained.shape
    other.model.load_encoder(again.parameters)
    other.model.load_state_dict(load_file(tmp_path / "heads.safetensors"), strict=False)
    found = other.model.state_dict()
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["roberta, tokenizer.json", "xlm-roberta", "distilbert"])
def test_a_relative_of_bert_trains_is_written_and_begins_the_next_run(
    tmp_path: Path, layout: str
) -> None:
    source = write_relative_encoder(tmp_path / "source", layout)
    config = RunConfig(
        encoder=EncoderConfig(source=str(source)),
        further_pretraining=MaskedLanguageModelling(budget_tokens=600),
        nli=LinearNli(budget_tokens=300),
        multitask=Multitask(batch_order=LockStep(batch_size=8), budget_tokens=1500, units=1),
    )
    run = Run(config, open_inputs(config, torch.device("cpu")))
    run.train_unit()
    assert math.isfinite(run.evaluate("select")["score"])
    began = run.inputs.pretrained.parameters
    now = run.model.encoders["shared"].state_dict()
    for name in ("embeddings.word.weight", "embeddings.position.weight", "layers.1.feed_in.weight"):
        assert not torch.equal(now[name], began[name]), name
    write_encoder(run, tmp_path / "encoder")
    next_config = config.model_copy(
        update={"encoder": EncoderConfig(source=str(tmp_path / "encoder"))}
    )
    inputs = open_inputs(next_config, torch.device("cpu"))
    assert torch.equal(inputs.corpus.tokens, run.inputs.corpus.tokens)
    for name, tensor in inputs.pretrained.parameters.items():
        if "pooler" not in name or layout != "distilbert":
            assert torch.equal(tensor, now[name]), name
