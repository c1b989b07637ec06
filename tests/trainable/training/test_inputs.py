from __future__ import annotations

import os

import pytest
import torch

import trainable.training.inputs
from trainable.data.examples import Examples
from trainable.data.features import InputFeatures
from trainable.data.nli import HubNli, SampleNli, triplets
from trainable.data.prepare import FeaturedExamples
from trainable.data.sources import Cs224nData, SampleData
from trainable.data.tokenize import encode
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.nli_training import LinearNli
from trainable.training.inputs import InputsSpec, RunInputs, compute_deterministically, open_inputs

CPU = torch.device("cpu")
SAME = {
    "seed": RunConfig(seed=9),
    "dropout": RunConfig(encoder=EncoderConfig(dropout=0.3)),
    "sharing": RunConfig(encoder=EncoderConfig(sharing="per_task")),
    "training": RunConfig(multitask=Multitask(budget_tokens=5, tasks="sst")),
    "no multitask stage": RunConfig(multitask=None),
    "other stages": RunConfig(
        further_pretraining=MaskedLanguageModelling(),
        nli=LinearNli(source=HubNli()),
        head_tuning=CachedHeadTuning(),
    ),
}
OTHER = {
    "data": RunConfig(data=SampleData(seed=1)),
    "encoder": RunConfig(encoder=EncoderConfig(source="elsewhere")),
    "revision": RunConfig(encoder=EncoderConfig(revision="abc")),
    "tags": RunConfig(features=InputFeatures(pos_tags=True)),
    "synonyms": RunConfig(features=InputFeatures(synonym_copies=1)),
    "inference beside the tasks": RunConfig(multitask=Multitask(auxiliary=NliAuxiliary())),
    "other inference beside the tasks": RunConfig(
        multitask=Multitask(auxiliary=NliAuxiliary(source=HubNli()))
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_runs_that_need_the_same_share_their_inputs(name: str) -> None:
    assert InputsSpec.of(SAME[name]) == InputsSpec.of(RunConfig())


def test_runs_that_need_something_else_do_not() -> None:
    sources = [InputsSpec.of(config) for config in (RunConfig(), *OTHER.values())]
    assert len(set(sources)) == len(OTHER) + 1  # as keys of a dictionary, too


def test_inference_joins_the_train_sets_only_where_a_run_trains_on_it(
    inputs: RunInputs,
) -> None:
    assert "nli" not in inputs.corpus.splits["train"]
    source = SampleNli()
    config = RunConfig(multitask=Multitask(auxiliary=NliAuxiliary(source=source)))
    corpus = open_inputs(config, CPU).corpus
    assert {split for split, rows in corpus.splits.items() if "nli" in rows} == {"train"}
    # Premise, entailment, contradiction, token for token.
    rows = corpus.splits["train"]["nli"]
    sides = triplets(source, inputs.pretrained.tokenizer)
    assert len(rows) == len(sides[0]) > 100
    assert rows.labels is None
    for starts, lengths, side in zip(rows.starts, rows.lengths, sides, strict=True):
        assert torch.equal(lengths, side.lengths)
        found = [corpus.tokens[s : s + n] for s, n in zip(starts, lengths, strict=True)]
        assert torch.equal(torch.cat(found), side.tokens)
    assert corpus.fingerprint == inputs.corpus.fingerprint


def test_further_pretraining_reads_every_train_sentence_once(inputs: RunInputs) -> None:
    own = inputs.stage_inputs.own
    examples = SampleData().load()
    texts = [
        row[side]
        for splits in examples.splits.values()
        for side in ("sentence1", "sentence2")
        for row in splits["train"]
        if row[side]
    ]
    expected = encode(texts, inputs.pretrained.tokenizer)
    assert len(own) == len(texts) == 3000 + 2 * 5000 + 2 * 2000
    assert torch.equal(own.tokens, expected.tokens)
    assert torch.equal(own.offsets, expected.offsets)
    assert inputs.stage_inputs.pretrained is inputs.pretrained


def test_the_features_are_those_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[InputFeatures] = []

    def record(examples: Examples, features: InputFeatures) -> FeaturedExamples:
        asked.append(features)
        return FeaturedExamples(examples, None)

    monkeypatch.setattr(trainable.training.inputs, "add_features", record)
    features = InputFeatures(pos_tags=True, synonym_copies=2)
    open_inputs(RunConfig(features=features), CPU)
    assert asked == [features]


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(data=Cs224nData(dir="/nowhere")),
        RunConfig(encoder=EncoderConfig(source="/nowhere")),
    ],
)
def test_what_cannot_be_had_is_refused(config: RunConfig) -> None:
    with pytest.raises(InputError, match="/nowhere"):
        open_inputs(config, CPU)


def test_what_torch_needs_to_compute_deterministically_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        compute_deterministically()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
